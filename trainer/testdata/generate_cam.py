#!/usr/bin/env python3
"""Writes cam.json, the reference for gradcam_test.go.

    python3 generate_cam.py [DATASET_DIR]      (needs PyTorch; made with 2.15.0)

HiResCAM and Grad-CAM of the first test images, for their true class and for the
next, in both networks that have convolutions, from float64 arithmetic; and the
largest error of PyTorch's own float32. Weights are initial ones: both sides draw
the same bits.
"""
import json
import pathlib
import sys

import torch
import torch.nn.functional as F

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent / "cpuref/parity/testdata"))
import fixtures  # noqa: E402

IMAGES = 6


def features(model, x):
    for i in range(1, model.layers + 1):
        x = F.relu(getattr(model, f"bn{i}")(getattr(model, f"conv{i}")(x)))
        x = F.max_pool2d(x, 2) if i <= model.pooled else x
    return x


def maps(model, x, classes):
    a = features(model, x).detach().requires_grad_()
    scores = model.fc2(F.relu(model.fc1(a.flatten(1))))
    gradient, = torch.autograd.grad(scores[torch.arange(len(x)), classes].sum(), a)
    hires = (gradient * a).sum(1)
    grad = (gradient.mean((2, 3), keepdim=True) * a).sum(1)
    return {name: scaled(F.relu(m)) for name, m in (("hirescam", hires), ("gradcam", grad))}


def scaled(m):
    most = m.amax((1, 2), keepdim=True)
    return torch.where(most > 0, m / most, m).flatten(1).double()


def case(name):
    model = fixtures.MODELS[name]().eval()
    fixtures.init(model)
    x, labels = fixtures.images("t10k", 0, IMAGES)
    x, classes = torch.cat([x, x]), torch.cat([labels, (labels + 1) % 10])
    with torch.no_grad():
        side = features(model, x).shape[2:]
    single = maps(model, x, classes)
    double = maps(model.double(), x.double(), classes)
    return {"model": name, "classes": classes.tolist(), "size": list(side),
            "maps": {k: [[round(v, 9) for v in row] for row in m.tolist()] for k, m in double.items()},
            "error": {k: (single[k] - m).abs().max().item() for k, m in double.items()}}


torch.set_num_threads(1)
cases = {"seed": fixtures.SEED, "images": IMAGES, "cases": [case("fashioncnn"), case("alternative")]}
text = json.dumps(cases, separators=(",", ":"))
(HERE / "cam.json").write_text(text + "\n")
