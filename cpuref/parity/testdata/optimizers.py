#!/usr/bin/env python3
"""Computes with PyTorch what a few steps of each optimiser make of a network.

    python3 optimizers.py      (writes optimizers.safetensors beside itself)

Needs PyYAML. The file in the repository comes from PyTorch 2.15. It holds, in
float64, rounded once: the losses of the steps, and after them each parameter, its
moving average, those of the running statistics, and the logits of an evaluation with
the averages. Weights, images and labels are those of networks.py. Parameters of one
axis have no weight decay. The averages are those of timm's ModelEmaV2, which averages
running statistics, too, with TensorFlow's ramp of the decay.

Muon is torch.optim.Muon, whose iteration here is in float64 instead of bfloat16, for the
weights of more than one axis, flattened to matrices, except the first and the last.
AdamW has the other parameters.
"""

import inspect
import pathlib

import torch
import torch.nn.functional as F
import yaml

from fixtures import save_safetensors
from networks import BATCH, Net, images

muon = torch.optim._muon
exec(inspect.getsource(muon._zeropower_via_newtonschulz).replace("torch.bfloat16", "torch.float64"), muon.__dict__)

HERE = pathlib.Path(__file__).parent
STEPS, EMA = 5, 0.25  # the ramp reaches the decay at step 2
HEIGHT, WIDTH, CHANNELS, CLASSES = 8, 6, 1, 3
OPTIMIZERS = {
    "adam": lambda p: torch.optim.Adam(p, lr=0.01, weight_decay=0.5),
    "adamw": lambda p: torch.optim.AdamW(by_axes(p, 0.5), lr=0.01),
    "sgd": lambda p: torch.optim.SGD(by_axes(p, 0.5), lr=0.01, momentum=0.9, nesterov=True),
    "muon": lambda p: Muon(p, lr=0.01, decay=0.5),
}


def by_axes(parameters, decay):
    return [{"params": [p for p in parameters if p.ndim > 1], "weight_decay": decay},
            {"params": [p for p in parameters if p.ndim == 1], "weight_decay": 0.0}]


class Muon:
    def __init__(self, parameters, lr, decay):
        self.hidden = [p for p in parameters if p.ndim > 1][1:-1]
        self.matrices = [p.detach().flatten(1) for p in self.hidden]  # the same memory
        others = [p for p in parameters if all(p is not h for h in self.hidden)]
        self.optimizers = (torch.optim.Muon(self.matrices, lr=lr, weight_decay=decay, adjust_lr_fn="match_rms_adamw"),
                           torch.optim.AdamW(by_axes(others, decay), lr=lr))

    def zero_grad(self):
        for p in self.hidden:
            p.grad = None
        self.optimizers[1].zero_grad()

    def step(self):
        for matrix, p in zip(self.matrices, self.hidden):
            matrix.grad = p.grad.flatten(1)
        for optimizer in self.optimizers:
            optimizer.step()


def train(optimizer):
    net = Net(yaml.safe_load((HERE / "optimizers.yaml").read_text())["layers"], CLASSES)
    x, labels = images(HEIGHT, WIDTH, CHANNELS), (3 * torch.arange(BATCH) + 1) % CLASSES
    net.forward(x, False)  # makes the parameters
    optim = OPTIMIZERS[optimizer](list(net.parameters.values()))
    averages = {name: t.detach().clone() for name, t in (net.parameters | net.buffers).items()}
    losses = []
    for t in range(1, STEPS + 1):
        loss = F.cross_entropy(net.forward(x, True), labels)
        optim.zero_grad()
        loss.backward()
        optim.step()
        losses.append(loss.detach())
        decay = min(EMA, (1 + t) / (10 + t))
        for name, value in (net.parameters | net.buffers).items():
            averages[name].mul_(decay).add_(value.detach(), alpha=1 - decay)
    tensors = {"losses": torch.stack(losses), **{name: p.detach().clone() for name, p in net.parameters.items()},
               **{f"average.{name}": a for name, a in averages.items()}}
    net.parameters, net.buffers = ({name: averages[name] for name in old} for old in (net.parameters, net.buffers))
    return tensors | {"logits": net.forward(x, False)}


if __name__ == "__main__":
    torch.set_num_threads(1)
    save_safetensors(HERE / "optimizers.safetensors", {f"{o}.{name}": t for o in OPTIMIZERS for name, t in train(o).items()})
