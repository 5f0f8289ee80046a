"""Writes scipy.json, the reference for statistics_test.go.

    pip install scipy==1.17.1 statsmodels==0.15.0 numpy && python3 generate.py
"""
import json

import numpy as np
from scipy import stats
from statsmodels.stats.contingency_tables import cochrans_q, mcnemar
from statsmodels.stats.multitest import multipletests

rng = np.random.default_rng(1)


def paired(n, shift):
    a, b = rng.normal(.92, .004, n), rng.normal(.92 + shift, .003, n)
    test = stats.ttest_rel(a, b)
    low, high = test.confidence_interval(.95)
    return {"a": a.tolist(), "b": b.tolist(), "p": float(test.pvalue), "low": float(low), "high": float(high),
            "effect": float((a - b).mean() / (a - b).std(ddof=1))}


def mean(n):
    x = rng.normal(.92, .004, n)
    low, high = stats.t.interval(.95, n - 1, loc=x.mean(), scale=stats.sem(x))
    return {"x": x.tolist(), "mean": float(x.mean()), "half": float((high - low) / 2)}


def cochran(n, rates):
    right = np.stack([rng.random(n) < r for r in rates], axis=1)
    test = cochrans_q(right.astype(int))
    return {"right": right.T.tolist(), "q": float(test.statistic), "p": float(test.pvalue)}


def disagreement(b, c):
    exact = b + c < 25
    p = mcnemar([[900, b], [c, 50]], exact=exact, correction=True).pvalue
    return {"b": b, "c": c, "exact": exact, "p": float(p)}


def holm(p):
    return {"p": p, "adjusted": multipletests(p, method="holm")[1].tolist()}


def wilson(k, n):
    ci = stats.binomtest(k, n).proportion_ci(.95, method="wilson")
    return {"k": k, "n": n, "low": float(ci.low), "high": float(ci.high)}


with open("scipy.json", "w") as f:
    json.dump({
        "mcnemar": [disagreement(*bc) for bc in [(0, 1), (0, 6), (5, 5), (3, 14), (12, 12), (12, 13), (20, 40), (300, 250), (71, 70), (500, 400), (900, 300)]],
        "cochran": [cochran(60, (.9, .85)), cochran(200, (.9, .9, .7)), cochran(500, (.92, .92, .91, .93, .9))],
        "paired": [paired(2, 0), paired(5, .001), paired(6, .01), paired(30, .002)],
        "mean": [mean(2), mean(6), mean(40)],
        "holm": [holm([.04]), holm([.01, .04, .03]), holm([.5, .9, .001, .02, .02])],
        "wilson": [wilson(*kn) for kn in [(0, 10), (10, 10), (1, 3), (9271, 10000), (500, 1000)]],
    }, f, separators=(",", ":"))
    f.write("\n")
