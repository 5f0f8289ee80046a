#!/usr/bin/env python3
"""Checks ONNX files against this program's own results.

Runs onnx.checker, with full shape inference, and ONNX Runtime on images, by default all
test images of Fashion-MNIST, and compares the results with the predictions that the
program wrote for the same checkpoint. Logits are compared less that of the predicted class, since the predictions
hold only their softmax. Needs the packages onnx, onnxruntime and numpy.

  fmnist-gpu eval --cpu --checkpoint runs/fashioncnn --predictions predictions.csv
  fmnist-gpu export --checkpoint runs/fashioncnn --out fashioncnn.onnx
  python3 check.py predictions.csv fashioncnn.onnx
"""
import argparse
import csv
import gzip
import json
import pathlib
import sys

import numpy as np
import onnx
import onnxruntime

TOLERANCE = 1e-4  # of the largest logit
SMALLEST = 1e-37  # below, float32 holds fewer digits of a probability


def read_idx(path):
    data = path.read_bytes()
    if path.suffix == ".gz":
        data = gzip.decompress(data)
    shape = [int.from_bytes(data[4 + 4 * i:8 + 4 * i], "big") for i in range(data[3])]
    return np.frombuffer(data, np.uint8, offset=4 + 4 * len(shape)).reshape(shape)


def read_predictions(path):
    """Returns the predicted classes (N) and the probabilities (N, classes)."""
    with open(path, newline="") as f:
        rows = list(csv.DictReader(f))
    names = [name for name in rows[0] if name[0] == "p" and name[1:].isdigit()]
    return (np.array([int(r["predicted"]) for r in rows]),
            np.array([[float(r[name]) for name in names] for r in rows]))


def run(model, images, batch):
    """Returns logits and probabilities of images (N, H, W, C) of bytes."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    about = session.get_modelmeta().custom_metadata_map
    x = images
    if session.get_inputs()[0].type == "tensor(float)":
        n = json.loads(about["normalization"])
        mean, std = np.float32(n["mean"]), np.float32(n["std"])
        x = ((x.astype(np.float32) / np.float32(255) - mean) / std).transpose(0, 3, 1, 2)
    parts = [session.run(["logits", "probabilities"], {"input": np.ascontiguousarray(x[i:i + batch])})
             for i in range(0, len(x), batch)]
    return [np.concatenate(p) for p in zip(*parts)]


def check(path, images, predicted, probabilities, batch):
    """Prints one line about a file, and reports whether it is right."""
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    logits, softmax = run(model, images, batch)
    logits = logits.astype(np.float64)

    def relative(x):
        return x - np.take_along_axis(x, predicted[:, None], axis=1)

    known = probabilities >= SMALLEST
    got, want = relative(logits), relative(np.log(np.maximum(probabilities, SMALLEST)))
    error = np.abs(got - want)[known].max() / np.abs(logits).max()
    small = bool((got[~known] < want[~known] + 1).all())
    off = np.abs(softmax - probabilities).max()
    different = int((logits.argmax(axis=1) != predicted).sum())
    print(f"{path}: {len(images)} images, {known.sum()} logits differ by {error:.2e} of the largest "
          f"({(~known).sum()} are too small to compare), probabilities by {off:.1e}, predictions of {different} images")
    return error <= TOLERANCE and off <= TOLERANCE and small and different == 0


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("predictions", help="CSV file of eval --predictions")
    p.add_argument("models", nargs="+", help="ONNX files")
    p.add_argument("--images", default="/usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz", type=pathlib.Path, help="IDX file")
    p.add_argument("--batch", default=500, type=int)
    a = p.parse_args()
    images = read_idx(a.images)
    if images.ndim == 3:
        images = images[..., None]  # grey: (N, H, W, 1)
    predicted, probabilities = read_predictions(a.predictions)
    assert len(images) == len(predicted), (len(images), len(predicted))
    right = [check(m, images, predicted, probabilities, a.batch) for m in a.models]
    sys.exit(0 if all(right) else 1)


if __name__ == "__main__":
    main()
