#!/usr/bin/env python3
"""Images per second of the original's networks in PyTorch, for comparison.

Prints a line of JSON for each configuration, as `fmnist-gpu bench --against`
reads it. The data is resident and random, so only the training step (or the
classification) is timed: the best case of a PyTorch user.
"""
import argparse
import json
import os
import time

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--model", default="fashioncnn", choices=["fashioncnn", "alternative", "logistic"])
parser.add_argument("--batch-size", type=int, default=64)
parser.add_argument("--infer", action="store_true", help="classify instead of train")
parser.add_argument("--threads", type=int, default=os.cpu_count())
parser.add_argument("--seconds", type=float, default=1.0)
parser.add_argument("--configs", default="fp32,fp32-channels-last", help="comma-separated: fp32, fp32-channels-last, bf16, bf16-channels-last")
args = parser.parse_args()

# Before torch is imported, or it does not count: no thread may move, and
# freed blocks stay with the process instead of being returned and faulted in.
os.environ["OMP_NUM_THREADS"] = str(args.threads)
os.environ.setdefault("OMP_PROC_BIND", "true")
if os.environ.get("MALLOC_TRIM_THRESHOLD_") is None:
    os.environ.update(MALLOC_TRIM_THRESHOLD_="-1", MALLOC_MMAP_THRESHOLD_="4294967296", MALLOC_TOP_PAD_="67108864")
    os.execv(__import__("sys").executable, [__import__("sys").executable] + __import__("sys").argv)

import torch  # noqa: E402
from torch import nn  # noqa: E402


class FashionCNN(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(1, 32, 3, padding=1), nn.BatchNorm2d(32)
        self.conv2, self.bn2 = nn.Conv2d(32, 64, 3, padding=1), nn.BatchNorm2d(64)
        self.conv3, self.bn3 = nn.Conv2d(64, 128, 3, padding=1), nn.BatchNorm2d(128)
        self.pool, self.dropout = nn.MaxPool2d(2), nn.Dropout(0.25)
        self.fc1, self.fc2 = nn.Linear(128 * 7 * 7, 256), nn.Linear(256, 10)

    def forward(self, x):
        x = self.pool(torch.relu(self.bn1(self.conv1(x))))
        x = self.pool(torch.relu(self.bn2(self.conv2(x))))
        x = torch.relu(self.bn3(self.conv3(x))).flatten(1)
        return self.fc2(self.dropout(torch.relu(self.fc1(x))))


class Alternative(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(1, 16, 5, padding=2), nn.BatchNorm2d(16)
        self.conv2, self.bn2 = nn.Conv2d(16, 32, 5, padding=2), nn.BatchNorm2d(32)
        self.pool, self.dropout = nn.MaxPool2d(2), nn.Dropout(0.25)
        self.fc1, self.fc2 = nn.Linear(32 * 7 * 7, 128), nn.Linear(128, 10)

    def forward(self, x):
        x = self.pool(torch.relu(self.bn1(self.conv1(x))))
        x = self.pool(torch.relu(self.bn2(self.conv2(x)))).flatten(1)
        return self.fc2(self.dropout(torch.relu(self.fc1(x))))


class Logistic(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(784, 10)

    def forward(self, x):
        return self.linear(x.flatten(1))


def measure(config):
    """Returns the images per second of one configuration."""
    torch.manual_seed(42)
    net = {"fashioncnn": FashionCNN, "alternative": Alternative, "logistic": Logistic}[args.model]()
    x, y = torch.randn(args.batch_size, 1, 28, 28), torch.randint(10, (args.batch_size,))
    if "channels-last" in config:
        net, x = net.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    loss = nn.CrossEntropyLoss()
    autocast = torch.autocast("cpu", dtype=torch.bfloat16, enabled=config.startswith("bf16"))

    def train():
        optimizer.zero_grad(set_to_none=True)
        with autocast:
            value = loss(net(x), y)
        value.backward()
        optimizer.step()

    def infer():
        with torch.inference_mode(), autocast:
            torch.softmax(net(x), 1)

    step = infer if args.infer else train
    net.train(not args.infer)
    for _ in range(5):
        step()
    steps, start = 0, time.perf_counter()
    while time.perf_counter() - start < args.seconds:
        step()
        steps += 1
    return steps * args.batch_size / (time.perf_counter() - start)


torch.set_num_threads(args.threads)
for config in args.configs.split(","):
    print(json.dumps({"name": f"PyTorch {torch.__version__} {config}", "images_per_second": measure(config)}))
