"""Writes sklearn.json, the reference for metrics_test.go.

    pip install scikit-learn==1.9.1 numpy && python3 generate.py

Probabilities are multiples of 1/64, exact in float32, so they have many ties.
In the case "unpredicted" one class is never predicted and one never correct; in
the case "letters" no image is of class 25.
"""
import json

import numpy as np
from sklearn.metrics import confusion_matrix, log_loss, precision_recall_fscore_support, roc_auc_score, top_k_accuracy_score


def calibration_error(labels, probabilities, bins=15):
    confidence, right = probabilities.max(1), probabilities.argmax(1) == labels
    edges, error = np.linspace(0, 1, bins + 1), 0
    for low, high in zip(edges, edges[1:]):
        inside = (confidence > low) & (confidence <= high)
        if inside.any():
            error += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    return float(error)


def case(seed, n, classes=10, absent=None, unpredicted=False):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n)
    if absent is not None:
        labels[labels == absent] = 0
    alpha = np.full((n, classes), .15)
    alpha[np.arange(n), labels] += .6
    counts = np.stack([rng.multinomial(64 - classes, rng.dirichlet(a)) for a in alpha]) + 1
    if unpredicted:
        counts[:, 3] = 1  # never the largest
        right = (labels == 7) & (counts.argmax(1) == 7)
        counts[right] = np.roll(counts[right], 1, axis=1)  # now 8, wrong
        for row in counts:
            row[0] += 64 - row.sum()
    probabilities = counts / 64
    predicted = probabilities.argmax(1)
    names = range(classes)
    present = sorted(set(labels.tolist()))  # the area of another class is undefined, and counts as 0
    area = {c: float(roc_auc_score(labels == c, probabilities[:, c])) for c in present}
    one_hot = np.eye(classes)[labels]
    scores = dict(labels=names, zero_division=0)
    precision, recall, f1, support = precision_recall_fscore_support(labels, predicted, **scores)
    average = lambda kind: list(precision_recall_fscore_support(labels, predicted, average=kind, **scores)[:3])
    return {
        "labels": labels.tolist(), "sixty_fourths": counts.tolist(),
        "accuracy": float((labels == predicted).mean()),
        "loss": float(log_loss(labels, probabilities, labels=names)),
        # Of equal ones, the lower class comes first; scikit-learn takes the higher.
        "top2": float(top_k_accuracy_score(labels, probabilities - 1e-9 * np.arange(classes), k=2, labels=names)),
        "calibration": calibration_error(labels, probabilities),
        "confusion_matrix": confusion_matrix(labels, predicted, labels=names).tolist(),
        "precision": precision.tolist(), "recall": recall.tolist(), "f1": f1.tolist(), "support": support.tolist(),
        "auc": [area.get(c, 0.0) for c in names],
        "micro_auc": float(roc_auc_score(one_hot, probabilities, average="micro")),
        "macro_auc": float(roc_auc_score(one_hot[:, present], probabilities[:, present], average="macro")),
        "macro": average("macro"), "micro": average("micro"), "weighted": average("weighted"),
    }


CASES = {
    "ordinary": case(1, 300),
    "unpredicted": case(2, 150, unpredicted=True),
    "three": case(3, 60, classes=3),
    "letters": case(4, 200, classes=26, absent=25),
}
with open("sklearn.json", "w") as f:
    json.dump(CASES, f, separators=(",", ":"))
    f.write("\n")
