#!/usr/bin/env python3
"""Trains the original's networks in PyTorch and torchvision with several seeds.

Shows how the accuracy of the original's recipe varies from seed to seed, to
compare with `fmnist-gpu experiment original`. It uses the original's protocol (the
best of ten epochs on the test images), optimiser, scheduler, early stopping and
augmentation. Prints preset, seed, accuracy and macro F1.

  python3 pytorch_study.py alternative_shallow 42 43 44
"""
import argparse
import gzip
import pathlib

import numpy as np
import torch
from PIL import Image
from torch import nn
from torchvision import transforms

CLASSES, BATCH, EPOCHS, PATIENCE = 10, 64, 10, 5


def block(inputs, outputs, kernel, pool):
    layers = [nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2), nn.BatchNorm2d(outputs), nn.ReLU()]
    return layers + [nn.MaxPool2d(2)] if pool else layers


def head(inputs, hidden, dropout):
    return [nn.Flatten(), nn.Linear(inputs, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, CLASSES)]


def fashioncnn(dropout):
    return nn.Sequential(*block(1, 32, 3, True), *block(32, 64, 3, True), *block(64, 128, 3, False), *head(6272, 256, dropout))


def alternative(dropout):
    return nn.Sequential(*block(1, 16, 5, True), *block(16, 32, 5, True), *head(1568, 128, dropout))


def logistic(_):
    return nn.Sequential(nn.Flatten(), nn.Linear(784, CLASSES))


# Network, dropout, augmentation.
PRESETS = {
    "main_no_aug": (fashioncnn, 0.25, False),
    "main_no_dropout": (fashioncnn, 0.0, True),
    "main_aug_dropout": (fashioncnn, 0.25, True),
    "alternative_shallow": (alternative, 0.25, True),
    "baseline_logistic": (logistic, 0.0, True),
}


def read(path, header):
    return np.frombuffer(gzip.open(path).read()[header:], np.uint8)


def load(folder, part):
    images = read(folder / f"{part}-images-idx3-ubyte.gz", 16).reshape(-1, 28, 28)
    return images, torch.tensor(read(folder / f"{part}-labels-idx1-ubyte.gz", 8).astype(np.int64))


def macro_f1(predicted, labels):
    scores = []
    for c in range(CLASSES):
        hits = ((predicted == c) & (labels == c)).sum().item()
        scores.append(2 * hits / max(1, (predicted == c).sum().item() + (labels == c).sum().item()))
    return sum(scores) / CLASSES


def train(preset, seed, data):
    (images, labels), (test_images, test_labels) = data
    build, dropout, augmented = PRESETS[preset]
    change = [transforms.RandomRotation(10), transforms.RandomHorizontalFlip(), transforms.RandomCrop(28, padding=4)] if augmented else []
    normal = [transforms.ToTensor(), transforms.Normalize((0.5,), (0.5,))]
    transform, plain = transforms.Compose(change + normal), transforms.Compose(normal)
    test = torch.stack([plain(Image.fromarray(i)) for i in test_images])  # (N, 1, 28, 28)
    torch.manual_seed(seed)
    net = build(dropout)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, "max", factor=0.5, patience=2)
    best, f1, best_epoch = 0.0, 0.0, 0
    for epoch in range(EPOCHS):
        if epoch - best_epoch > PATIENCE:
            break
        net.train()
        for batch in torch.randperm(len(images)).split(BATCH):
            x = torch.stack([transform(Image.fromarray(images[i])) for i in batch.tolist()])
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(x), labels[batch]).backward()
            optimizer.step()
        net.eval()
        with torch.no_grad():
            predicted = torch.cat([net(x).argmax(1) for x in test.split(500)])
        accuracy = (predicted == test_labels).double().mean().item()
        scheduler.step(accuracy)
        if accuracy > best:
            best, f1, best_epoch = accuracy, macro_f1(predicted, test_labels), epoch
    return best, f1


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("preset", choices=PRESETS)
    parser.add_argument("seeds", type=int, nargs="+")
    parser.add_argument("--data-dir", type=pathlib.Path, default="/usr/share/datasets/fashion-mnist")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    data = load(args.data_dir, "train"), load(args.data_dir, "t10k")
    for seed in args.seeds:
        print(args.preset, seed, "%.4f %.4f" % train(args.preset, seed, data), flush=True)


if __name__ == "__main__":
    main()
