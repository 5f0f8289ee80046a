#!/usr/bin/env python3
"""Images per second of PyTorch, for comparison: `fmnist-gpu bench --against` runs it.

Networks are the original's and ResNet-20. After each line of input it prints one line
of JSON per configuration, and an empty line. A configuration is PRECISION or
MODE-PRECISION, optionally followed by -channels-last:

  loader     eager, with images transformed on the host by a DataLoader without
             workers (its default), as users of the original run it
  eager      eager, with the data in device memory (the default mode)
  compile    the same through torch.compile; to classify, with the weights frozen
  graph      the whole step, including gathering the batch, in one CUDA graph
  frozen     to classify: TorchScript, frozen, which folds batch-norm
  optimized  to classify: frozen, and optimized for inference, which joins
             convolutions with ReLUs and takes oneDNN's layouts

  fp32       strict: TF32 is off
  tf32       TF32 allowed in convolutions and matrix products
  bf16       automatic mixed precision

On the CPU every step gets the same batch, the fastest case: of normalised images to
train on, of bytes to classify.

A configuration that fails on this machine (graph and tf32 need CUDA, compile a C++
compiler) is reported on stderr and skipped; if all fail, the exit code is 1.
"""
import argparse
import os
import sys
import warnings

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--model", default="fashioncnn", choices=["fashioncnn", "alternative", "logistic", "resnet20"])
parser.add_argument("--batch-size", type=int, default=64)
parser.add_argument("--infer", action="store_true", help="classify instead of training")
parser.add_argument("--threads", type=int, default=os.cpu_count())
parser.add_argument("--seconds", type=float, default=1.0)
parser.add_argument("--device", default="cpu", help="cpu or cuda")
parser.add_argument("--configs", help="comma-separated; see above")
args = parser.parse_args()
if args.configs is None:
    modes = ("", "compile-") + (("frozen-", "optimized-") if args.infer else ())
    args.configs = ",".join(mode + "fp32" + layout for mode in modes for layout in ("", "-channels-last"))
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

import peer  # noqa: E402


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


def convolution(channels, out, kernel, stride=1):
    """Returns a convolution without bias and a batch-norm."""
    return nn.Conv2d(channels, out, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(out)


class Block(nn.Module):
    def __init__(self, channels, out, stride):
        super().__init__()
        self.body = nn.Sequential(*convolution(channels, out, 3, stride), nn.ReLU(), *convolution(out, out, 3))
        self.shortcut = nn.Sequential(*convolution(channels, out, 1, stride)) if stride > 1 else nn.Identity()

    def forward(self, x):
        return torch.relu(self.body(x) + self.shortcut(x))


class ResNet20(nn.Sequential):
    """The network of He et al. (2015) for CIFAR, with projections as shortcuts."""

    def __init__(self):
        shapes = [(16, 16, 1)] * 3 + [(16, 32, 2)] + [(32, 32, 1)] * 2 + [(32, 64, 2)] + [(64, 64, 1)] * 2
        super().__init__(*convolution(1, 16, 3), nn.ReLU(), *(Block(*shape) for shape in shapes),
                         nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


class Classifier(nn.Module):
    """From bytes to probabilities."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return torch.softmax(self.net(normalize(x)), 1)


def normalize(x):
    """Returns bytes as floats in [-1, 1]."""
    return x.float().sub(127.5).div(127.5)


IMAGES = 10_000  # random, in device memory
NETWORKS = {"fashioncnn": FashionCNN, "alternative": Alternative, "logistic": Logistic, "resnet20": ResNet20}
FREEZE = {"frozen": torch.jit.freeze, "optimized": torch.jit.optimize_for_inference}
MODES = ("loader", "eager", "compile", "graph", *FREEZE)
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
        if self.mode not in MODES or self.precision not in PRECISIONS:
            sys.exit(f"pytorch.py: unknown configuration {config!r}; see --help")
        if "cuda" not in args.device and (self.mode == "graph" or self.precision == "tf32"):
            raise RuntimeError("needs CUDA")
        if args.infer and self.mode == "loader" or not args.infer and self.mode in FREEZE:
            raise RuntimeError("does not classify" if args.infer else "does not train")
        torch.manual_seed(42)
        self.set_tf32()
        torch.backends.cudnn.benchmark = True
        self.format = torch.channels_last if config.endswith("-channels-last") else torch.contiguous_format
        net = NETWORKS[args.model]()
        if args.infer:
            net = Classifier(net)
        self.net = net.to(args.device, memory_format=self.format).train(not args.infer)
        graph = {"capturable": True} if self.mode == "graph" else {}
        self.optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, fused=True, **graph)
        self.loss = nn.CrossEntropyLoss()
        self.images = torch.randint(256, (IMAGES, 28, 28), dtype=torch.uint8, device=args.device)
        self.labels = torch.randint(10, (IMAGES,), device=args.device)
        self.order = torch.randperm(IMAGES, device=args.device)
        self.cursor = torch.zeros((), dtype=torch.int64, device=args.device)
        self.steps = torch.arange(args.batch_size, device=args.device)

    def set_tf32(self):
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = self.precision != "fp32"

    def batch(self):
        index = self.order[(self.cursor + self.steps) % IMAGES]
        self.cursor += args.batch_size
        x = self.images[index].unsqueeze(1)
        return x if args.infer else normalize(x).to(memory_format=self.format), self.labels[index]

    def autocast(self):
        return torch.autocast(args.device, dtype=torch.bfloat16, enabled=self.precision == "bf16", cache_enabled=not args.infer)

    def run(self, x, y):
        if args.infer:
            with torch.inference_mode(), self.autocast():
                return self.net(x)
        with self.autocast():
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
        """Returns a number of images, and the function to time, which processes as many."""
        step = self.step
        if self.mode == "compile":
            torch._inductor.config.freezing = args.infer
            self.net = torch.compile(self.net)
        elif self.mode in FREEZE:
            with torch.inference_mode(), self.autocast():
                self.net = FREEZE[self.mode](torch.jit.trace(self.net, self.batch()[0]))
        elif self.mode == "graph":
            step = self.captured()
        elif self.mode == "loader":
            step = self.loaded()
        if args.device == "cpu":
            if self.mode != "loader":
                x, y = self.batch()
                step = lambda: self.run(x, y)  # noqa: E731
            return args.batch_size, step
        # Synchronizing drains the queue, so the clock is read only once per pass over
        # the images, as `fmnist-gpu bench` does.
        between = max(1, IMAGES // args.batch_size)

        def run():
            self.set_tf32()
            for _ in range(between):
                step()
            torch.cuda.synchronize()

        return between * args.batch_size, run


def prepare(config):
    """Returns one configuration, compiled and warm, for peer.serve."""
    images, run = Trainer(config).timed()
    for _ in range(5 if args.device == "cpu" else 1):
        run()
    return f"PyTorch {torch.__version__} {config}", images, run


torch.set_num_threads(args.threads)
warnings.simplefilter("ignore")  # TorchScript is deprecated, but still the fastest at times
configurations = []
for config in args.configs.split(","):
    try:
        configurations.append(prepare(config))
    except Exception as e:  # the other configurations still count
        print(f"pytorch.py: skipped {config}: {type(e).__name__}: {str(e).strip() or 'no message'}", file=sys.stderr)
if not configurations:
    sys.exit("pytorch.py: no configuration can be measured")
peer.serve(configurations, args.seconds, latency=args.infer and args.device == "cpu")
