#!/usr/bin/env python3
"""Computes with PyTorch what the networks of networks/*.yaml give.

    python3 networks.py      (writes networks.safetensors beside itself)

Needs PyYAML. The file in the repository comes from Debian's python3-torch 1.13.
It holds, for one batch and in float64, rounded once: the mean loss of a training
step, the gradient of every parameter, the running statistics after it, and the
logits of an evaluation with those. Weights are drawn by fixtures.uniform and
images by a formula, as the Go test does.
"""

import json
import math
import pathlib

import torch
import torch.nn.functional as F
import yaml

from fixtures import save_safetensors, uniform

HERE = pathlib.Path(__file__).parent
BATCH = 6
PREFIXES = {"batchnorm": "bn", "linear": "fc"}


class Net:
    """A network in the YAML grammar: parameters by name, in order."""

    def __init__(self, layers, classes):
        self.layers, self.classes = layers, classes
        self.parameters, self.buffers = {}, {}

    def parameter(self, name, shape, fan_in):
        """PyTorch's default distribution for the layer; fan_in None: batch-norm's constants."""
        if name not in self.parameters:
            number = len(self.parameters)
            if fan_in is None:
                value = torch.full(shape, 1.0 if name.endswith("weight") else 0.0)
            else:
                value = torch.from_numpy(uniform(math.prod(shape), number, 1 / math.sqrt(fan_in))).reshape(shape)
            self.parameters[name] = value.double().requires_grad_()
        return self.parameters[name]

    def forward(self, x, training):
        return self.scope(self.layers, x, "", {}, training)

    def scope(self, layers, x, prefix, numbers, training):
        for layer in layers:
            kind, s = (layer, {}) if isinstance(layer, str) else next(iter(layer.items()))
            short = PREFIXES.get(kind, kind)
            numbers[short] = numbers.get(short, 0) + 1
            given = s.get("name") if isinstance(s, dict) else None
            x = getattr(self, kind)(x, s, prefix + (given or f"{short}{numbers[short]}"), training)
        return x

    def conv(self, x, s, name, training):
        fan_in = x.shape[1] * s["kernel"] ** 2
        w = self.parameter(name + ".weight", (s["out"], x.shape[1], s["kernel"], s["kernel"]), fan_in)
        b = self.parameter(name + ".bias", (s["out"],), fan_in) if s.get("bias", True) else None
        return F.conv2d(x, w, b, stride=s.get("stride", 1), padding=s.get("padding", 0))

    def linear(self, x, s, name, training):
        out = self.classes if s["out"] == "classes" else s["out"]
        w = self.parameter(name + ".weight", (out, x.shape[1]), x.shape[1])
        b = self.parameter(name + ".bias", (out,), x.shape[1]) if s.get("bias", True) else None
        return F.linear(x, w, b)

    def batchnorm(self, x, s, name, training):
        c = (x.shape[1],)
        mean = self.buffers.setdefault(name + ".running_mean", torch.zeros(c, dtype=torch.float64))
        var = self.buffers.setdefault(name + ".running_var", torch.ones(c, dtype=torch.float64))
        return F.batch_norm(x, mean, var, self.parameter(name + ".weight", c, None), self.parameter(name + ".bias", c, None),
                            training=training, momentum=0.1, eps=1e-5)

    def relu(self, x, s, name, training):
        return F.relu(x)

    def gelu(self, x, s, name, training):
        return F.gelu(x)

    def silu(self, x, s, name, training):
        return F.silu(x)

    def maxpool(self, x, s, name, training):
        s = s if isinstance(s, dict) else {"kernel": s}
        return F.max_pool2d(x, s["kernel"], s.get("stride", s["kernel"]))

    def avgpool(self, x, s, name, training):
        if s == "global":
            return x.mean((2, 3), keepdim=True)
        s = s if isinstance(s, dict) else {"kernel": s}
        return F.avg_pool2d(x, s["kernel"], s.get("stride", s["kernel"]))

    def flatten(self, x, s, name, training):
        return x.flatten(1)

    def dropout(self, x, s, name, training):
        assert s == 0, "masks are not PyTorch's"
        return x

    def residual(self, x, s, name, training):
        numbers = {}
        body = self.scope(s["body"], x, name + ".", numbers, training)
        return body + self.scope(s.get("shortcut", []), x, name + ".", numbers, training)


def images(height, width, channels):
    """Pixel number i of the batch, counted (N, H, W, C), is i²·31 + i·7 mod 251."""
    i = torch.arange(BATCH * height * width * channels)
    x = ((i * i * 31 + i * 7) % 251).float().reshape(BATCH, height, width, channels) / 255
    return ((x - 0.5) / 0.5).permute(0, 3, 1, 2).double()


def main():
    tensors = {}
    for n in json.loads((HERE / "networks" / "index.json").read_text()):
        net = Net(yaml.safe_load((HERE / "networks" / f"{n['name']}.yaml").read_text())["layers"], n["classes"])
        x, labels = images(n["height"], n["width"], n["channels"]), (3 * torch.arange(BATCH) + 1) % n["classes"]
        loss = F.cross_entropy(net.forward(x, True), labels)
        gradients = torch.autograd.grad(loss, list(net.parameters.values()))
        with torch.no_grad():
            tensors[n["name"] + ".logits"] = net.forward(x, False)
        tensors[n["name"] + ".loss"] = loss.reshape(1)
        for name, g in zip(net.parameters, gradients):
            tensors[f"{n['name']}.{name}"] = g
        for name, b in net.buffers.items():
            tensors[f"{n['name']}.{name}"] = b
    save_safetensors(HERE / "networks.safetensors", tensors)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
