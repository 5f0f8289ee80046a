#!/usr/bin/env python3
"""Images per second of the original's networks in PyTorch, for comparison.

Prints one line of JSON per configuration, as `fmnist-gpu bench --against`
expects. A configuration is PRECISION or MODE-PRECISION, optionally followed by
-channels-last:

  loader   eager, with images transformed on the host by a DataLoader without
           workers (its default), as users of the original run it
  eager    eager, with the data in device memory (the default mode)
  compile  the same through torch.compile
  graph    the whole step, including gathering the batch, in one CUDA graph

  fp32     strict: TF32 is off
  tf32     TF32 allowed in convolutions and matrix products
  bf16     automatic mixed precision

A configuration that fails on this machine (graph and tf32 need CUDA, compile a C
compiler) is reported on stderr and skipped; if all fail, the exit code is 1.
"""
import argparse
import json
import os
import sys
import time

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--model", default="fashioncnn", choices=["fashioncnn", "alternative", "logistic"])
parser.add_argument("--batch-size", type=int, default=64)
parser.add_argument("--infer", action="store_true", help="classify instead of training")
parser.add_argument("--threads", type=int, default=os.cpu_count())
parser.add_argument("--seconds", type=float, default=1.0)
parser.add_argument("--device", default="cpu", help="cpu or cuda")
parser.add_argument("--configs", help="comma-separated; see above")
args = parser.parse_args()
if args.configs is None:
    args.configs = "fp32,fp32-channels-last"
    if args.device != "cpu":
        args.configs = "loader-fp32," + ",".join(f"{mode}-{precision}" for mode in ("eager", "graph") for precision in ("fp32", "tf32", "bf16", "bf16-channels-last"))

# These take effect only before torch is imported: threads are pinned, and the
# process keeps freed blocks instead of returning them and faulting them in again.
os.environ["OMP_NUM_THREADS"] = str(args.threads)
os.environ.setdefault("OMP_PROC_BIND", "true")
if os.environ.get("MALLOC_TRIM_THRESHOLD_") is None:
    os.environ.update(MALLOC_TRIM_THRESHOLD_="-1", MALLOC_MMAP_THRESHOLD_="4294967296", MALLOC_TOP_PAD_="67108864")
    os.execv(sys.executable, [sys.executable] + sys.argv)

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


IMAGES = 10_000  # random, in device memory
PRECISIONS = ("fp32", "tf32", "bf16")


class Images(torch.utils.data.Dataset):
    """Converts an image to float and to [-1, 1], as a typical Dataset does."""

    def __init__(self, images, labels):
        self.images, self.labels = images.cpu(), labels.cpu()

    def __len__(self):
        return len(self.images)

    def __getitem__(self, i):
        return self.images[i].unsqueeze(0).float().div(255).sub(0.5).div(0.5), self.labels[i]


class Trainer:
    """A network and the step to time. Batches come from bytes in device memory."""

    def __init__(self, config):
        words = config.removesuffix("-channels-last").split("-")
        self.mode, self.precision = words if len(words) == 2 else ("eager", words[0])
        if self.mode not in ("loader", "eager", "compile", "graph") or self.precision not in PRECISIONS:
            sys.exit(f"pytorch.py: unknown configuration {config!r}; see --help")
        if "cuda" not in args.device and (self.mode == "graph" or self.precision == "tf32"):
            raise RuntimeError("needs CUDA")
        torch.manual_seed(42)
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = self.precision != "fp32"
        torch.backends.cudnn.benchmark = True
        self.format = torch.channels_last if config.endswith("-channels-last") else torch.contiguous_format
        net = {"fashioncnn": FashionCNN, "alternative": Alternative, "logistic": Logistic}[args.model]()
        self.net = net.to(args.device, memory_format=self.format).train(not args.infer)
        graph = {"capturable": True} if self.mode == "graph" else {}
        fused = {"fused": True} if args.device != "cpu" else {}
        self.optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, **graph, **fused)
        self.loss = nn.CrossEntropyLoss()
        self.images = torch.randint(256, (IMAGES, 28, 28), dtype=torch.uint8, device=args.device)
        self.labels = torch.randint(10, (IMAGES,), device=args.device)
        self.order = torch.randperm(IMAGES, device=args.device)
        self.cursor = torch.zeros((), dtype=torch.int64, device=args.device)
        self.steps = torch.arange(args.batch_size, device=args.device)

    def batch(self):
        index = self.order[(self.cursor + self.steps) % IMAGES]
        self.cursor += args.batch_size
        x = self.images[index].unsqueeze(1).float().div(255).sub(0.5).div(0.5)
        return x.to(memory_format=self.format), self.labels[index]

    def run(self, x, y):
        with torch.autocast(args.device, dtype=torch.bfloat16, enabled=self.precision == "bf16"):
            if args.infer:
                with torch.inference_mode():
                    return torch.softmax(self.net(x), 1)
            value = self.loss(self.net(x), y)
        self.optimizer.zero_grad(set_to_none=True)
        value.backward()
        self.optimizer.step()
        return value

    def step(self):
        return self.run(*self.batch())

    def captured(self):
        """Returns a function that replays one captured step."""
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):  # warm up outside the capture
            for _ in range(5):
                self.step()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self.step()
        return graph.replay

    def loaded(self):
        """Returns a function that runs a step on the next batch of a DataLoader."""
        loader = torch.utils.data.DataLoader(Images(self.images, self.labels), args.batch_size, shuffle=True,
                                             drop_last=True, pin_memory=args.device != "cpu")

        def batches():
            while True:
                yield from loader

        source = batches()

        def step():
            x, y = next(source)
            self.run(x.to(args.device, memory_format=self.format, non_blocking=True), y.to(args.device, non_blocking=True))

        return step

    def timed(self):
        if self.mode == "graph":
            return self.captured()
        if self.mode == "loader":
            return self.loaded()
        if self.mode == "compile":
            self.net = torch.compile(self.net)
        elif args.device == "cpu":  # the fastest case: always the same batch
            x, y = self.batch()
            return lambda: self.run(x, y)
        return self.step


def synchronize():
    if args.device != "cpu":
        torch.cuda.synchronize()


def measure(config):
    """Returns the images per second of one configuration."""
    step = Trainer(config).timed()
    for _ in range(20 if args.device != "cpu" else 5):
        step()
    synchronize()
    # Synchronizing drains the queue, so check the clock only once per pass over
    # the images, as `fmnist-gpu bench` does.
    between = max(1, IMAGES // args.batch_size) if args.device != "cpu" else 1
    steps, start = 0, time.perf_counter()
    while time.perf_counter() - start < args.seconds:
        for _ in range(between):
            step()
        synchronize()
        steps += between
    return steps * args.batch_size / (time.perf_counter() - start)


torch.set_num_threads(args.threads)
measured = 0
for config in args.configs.split(","):
    try:
        speed = measure(config)
    except Exception as e:  # the other configurations still count
        print(f"pytorch.py: skipped {config}: {type(e).__name__}: {str(e).strip() or 'no message'}", file=sys.stderr)
        continue
    measured += 1
    print(json.dumps({"name": f"PyTorch {torch.__version__} {config}", "images_per_second": speed}), flush=True)
if not measured:
    sys.exit("pytorch.py: no configuration could be measured")
