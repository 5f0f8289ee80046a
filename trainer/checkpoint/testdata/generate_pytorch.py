"""Writes the PyTorch files that pytorch_test.go reads, good ones and hostile ones.

    pip install torch==2.15.0 numpy safetensors && cd pytorch && PYTHONHASHSEED=0 python3 ../generate_pytorch.py
"""
import argparse
import array
import collections
import datetime
import decimal
import enum
import fractions
import functools
import gzip
import os
import pathlib
import pickle
import random
import uuid
import warnings
import zipfile
from collections import OrderedDict

import numpy as np
import torch
from safetensors.torch import save_file

warnings.simplefilter("ignore")

weight = torch.arange(6, dtype=torch.float32).reshape(2, 3) / 8 - 0.25
plain = OrderedDict([("fc.weight", weight), ("fc.bias", torch.tensor([1.0, -2.0])),
                     ("bn.num_batches_tracked", torch.tensor(938))])
torch.save(plain, "plain.pth")
torch.save({"epoch": 3, "model_state_dict": plain, "optimizer": {"lr": 0.1}}, "training.pth")
torch.save(plain, "protocol4.pth", pickle_protocol=4)
# What a module returns has its _metadata; DataParallel adds "module." to all names.
net = torch.nn.Sequential(OrderedDict([("fc", torch.nn.Linear(3, 2)), ("bn", torch.nn.Module())]))
net.bn.register_buffer("num_batches_tracked", plain["bn.num_batches_tracked"])
net.load_state_dict(plain)
adam = torch.optim.Adam(net.parameters())
for parameter in net.parameters():
    parameter.grad = torch.zeros_like(parameter)
adam.step()  # without gradients it changes no weight, but has a state
torch.save({"epoch": 3, "optimizer": adam.state_dict(), "state_dict": torch.nn.DataParallel(net).state_dict()}, "state_dict.pth")
torch.save({"module." + k: v for k, v in plain.items()}, "parallel.pth")
torch.save({"fc.weight": torch.nn.Parameter(weight.clone()), "fc.bias": plain["fc.bias"],
            "bn.num_batches_tracked": plain["bn.num_batches_tracked"]}, "parameter.pth")
# Views of one storage: turned, cut out, and every other element.
big = torch.zeros(4, 6)
big[1:4, 2:4] = weight.t()
both = torch.tensor([7.0, 1.0, 7.0, -2.0])
torch.save({"fc.weight": big[1:4, 2:4].t(), "fc.bias": both[1::2],
            "bn.num_batches_tracked": plain["bn.num_batches_tracked"]}, "views.pth")
for name, dtype in [("half", torch.float16), ("bfloat16", torch.bfloat16), ("double", torch.float64)]:
    torch.save({k: v.to(dtype) if v.is_floating_point() else v for k, v in plain.items()}, name + ".pth")

# All kinds of values besides weights, in all protocols that PyTorch allows.
class Colour(enum.Enum):
    RED = 1


class State(OrderedDict):
    pass


class Slots:
    __slots__ = ("a", "b")

    def __init__(self):
        self.a, self.b = 1, torch.ones(2)


sgd = torch.optim.SGD(net.parameters(), momentum=0.9)
sgd.step()
beside = {
    "numpy": [np.float64(0.91), np.int32(3), np.bool_(True), np.array([[1.0, 2.0]]), np.array(["a", "b"]), np.array([{}, None]),
              np.dtype("float32"), np.datetime64("2026-01-01"), np.random.default_rng(1), np.random.RandomState(1).get_state()],
    "torch": [torch.float32, torch.device("cpu"), torch.Size([28, 28]), torch.strided, torch.finfo, torch.Generator().get_state()],
    "tensors": [torch.tensor([True]), torch.tensor([1], dtype=torch.int32), torch.tensor([1j]), torch.tensor([1], dtype=torch.uint8),
                torch.eye(3).to_sparse(), torch.eye(3).to_sparse_csr(), torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8),
                torch.tensor([1.0]).to(torch.float8_e4m3fn), torch.tensor([1], dtype=torch.uint16), torch.empty(2, device="meta"),
                torch.tensor([float("nan")]), torch.empty(0, 3), torch.ones(2).untyped_storage()],
    "mask": torch.tensor([[True, False]]),
    "sets": [{1, "a", (2, 3)}, frozenset([b"x"]), set()],
    "bytes": [b"abc", bytearray(b"abc"), b"x" * 300, memoryview(b"ab").tobytes(), array.array("d", [1.0])],
    "numbers": [1 + 2j, 2**100, -(2**70), -1, 2**31, 1e400, None, True, ..., NotImplemented, decimal.Decimal("1.5"), fractions.Fraction(1, 3), range(3), slice(1, 2)],
    "collections": [collections.defaultdict(list, {"loss": [1.0]}), collections.Counter("aab"), collections.deque([1], 2), State(a=1), collections.ChainMap({})],
    "objects": [argparse.Namespace(lr=0.1), pathlib.PurePosixPath("/a"), datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc),
                datetime.timedelta(1), Colour.RED, Slots(), functools.partial(max, 1), uuid.UUID(int=1), ValueError("x"), random.Random(1), len, dict, Slots],
    "optimizer": sgd.state_dict(),
    "scheduler": torch.optim.lr_scheduler.StepLR(sgd, 1).state_dict(),
    "model": net,
    "text": ["\u00fc" * 300, "a\nb"],
    3: "a number as a key", ("a", 1): "a tuple", None: 0,
    "history": [{"epoch": i, "loss": i / 7, "accuracy": torch.tensor(i / 9)} for i in range(20)],
}
beside["itself"] = beside
for protocol in [2, 3, 4, 5]:
    torch.save(beside | {"state_dict": plain}, f"beside_{protocol}.pth", pickle_protocol=protocol)

# Weights under another key, or deeper.
torch.save({"net": plain, "acc": 91.2}, "net.pth")
torch.save({"checkpoint": {"epoch": 3, "weights": plain}}, "deeper.pth")
torch.save({"generator": {"up.weight": torch.ones(3)}, "fc.mask": torch.ones(2), "discriminator": plain}, "several.pth")
# In lists and tuples, and under keys that are numbers, as the folds of a cross-validation.
torch.save([{"lr": 0.1}, plain], "in_list.pth")
torch.save((plain, {"state": {0: {"exp_avg": torch.ones(3)}}}), "in_tuple.pth")
torch.save({"fold": {1: [OrderedDict(plain)]}, "history": [torch.ones(())] * 3}, "in_fold.pth")
torch.save({0: weight, None: 1}, "numbered.pth")
torch.save({"ema": {"decay": 0.9, "shadow": plain}, "model": plain}, "ema.pth")
torch.save(State(plain), "subclass.pth")
torch.save(collections.defaultdict(None, plain), "defaultdict.pth")
# Prefixes of torch.compile, PyTorch Lightning, both wrappers at once, and of an averaged model.
prefixed = lambda prefix: OrderedDict((prefix + k, v) for k, v in plain.items())
torch.save(prefixed("_orig_mod."), "compiled.pth")
torch.save({"pytorch-lightning_version": "2.5", "state_dict": prefixed("model."), "hyper_parameters": argparse.Namespace(lr=0.1),
            "callbacks": {"ModelCheckpoint{'monitor': None}": {"best_model_score": torch.tensor(0.9)}},
            "optimizer_states": [adam.state_dict()], "loops": {"fit_loop": {"state_dict": {}}}}, "lightning.pth")
torch.save(prefixed("module._orig_mod."), "nested.pth")
torch.save(torch.optim.swa_utils.AveragedModel(net).state_dict(), "averaged.pth")
save_file(prefixed("model.net."), "prefix.safetensors")
# Numbers of batches: absent, of other types and shapes, no tensor.
without = {k: v for k, v in plain.items() if k.startswith("fc")}
tracked = lambda v: without | {"bn.num_batches_tracked": v}
torch.save(without, "tracked_absent.pth")
for name, v in [("int32", torch.tensor(938, dtype=torch.int32)), ("float", torch.tensor(938.0)), ("axis", torch.tensor([938])),
                ("number", 938), ("negative", torch.tensor(-1)), ("nan", torch.tensor(float("nan"))), ("float8", torch.tensor(1.0).to(torch.float8_e4m3fn))]:
    torch.save(tracked(v), f"tracked_{name}.pth")
save_file(tracked(torch.tensor([938], dtype=torch.int16)), "tracked_int16.safetensors")
save_file(without, "tracked_absent.safetensors")
# Tensors that are kept in another way than in order in a storage of their own.
attributed = torch.nn.Parameter(weight.clone())
attributed.note = "kept by _rebuild_parameter_with_state"
typed = plain["fc.bias"].clone()
typed.note = "kept by _rebuild_from_type_v2"
torch.save(tracked(plain["bn.num_batches_tracked"]) | {"fc.weight": attributed, "fc.bias": typed}, "attributes.pth")
buffer = torch.cat([torch.zeros(3), weight.flatten(), plain["fc.bias"]])
torch.save(plain | {"fc.weight": buffer[3:9].view(2, 3), "fc.bias": buffer[9:]}, "shared.pth")
torch.save(plain | {"fc.weight": weight.t().contiguous().t()}, "transposed.pth")
image = torch.arange(2 * 3 * 2 * 2, dtype=torch.float32).reshape(2, 3, 2, 2)
torch.save({"conv.weight": image.to(memory_format=torch.channels_last), "conv.flipped": image.flip(3).transpose(0, 1)}, "channels_last.pth")
torch.save({"one": torch.tensor([2.5]).expand(2, 3)}, "broadcast.pth")
for name, dtype in [("half", torch.float16), ("bfloat16", torch.bfloat16), ("double", torch.float64)]:
    save_file({k: v.to(dtype) if v.is_floating_point() else v for k, v in plain.items()}, name + ".safetensors")

# Files that are rightly refused.
torch.save({"ema": plain, "best": dict(plain)}, "ambiguous.pth")
torch.save(prefixed("model.") | {"criterion.weight": torch.ones(4)}, "extra.pth")
torch.save({"model.fc.weight": weight, "fc.bias": plain["fc.bias"]}, "mixed.pth")
torch.save({"a": plain | {"fc.bias": torch.ones(1, 2)}}, "leading_one.pth")
for name, v in [("float8", torch.tensor([1.0, -2.0]).to(torch.float8_e5m2)), ("complex", torch.tensor([1j, 2])), ("integer", torch.tensor([1, -2])),
                ("sparse", torch.tensor([1.0, -2]).to_sparse()), ("quantized", torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8)),
                ("array", np.array([1.0, -2.0])), ("negated", torch.tensor([1j, 2]).conj().imag)]:
    torch.save(plain | {"fc.bias": v}, f"weight_{name}.pth")
save_file({"fc.bias": torch.ones(2).to(torch.float8_e4m3fn)}, "float8.safetensors")
torch.save({"epoch": 3, "optimizer": {"lr": 0.1}}, "weightless.pth")
torch.save(plain, "legacy.pth", _use_new_zipfile_serialization=False)
torch.jit.script(torch.nn.Linear(3, 2)).save("torchscript.pt")
np.savez("numpy.npz", a=np.ones(2))
np.save("numpy.npy", np.ones(2))
with open("plain.pkl", "wb") as f:
    pickle.dump({"fc.bias": [1.0]}, f)
with open("plain.pth", "rb") as f:
    good = f.read()
with open("compressed.pth.gz", "wb") as f:
    f.write(gzip.compress(good, mtime=0))
with zipfile.ZipFile("zipped.zip", "w") as z:
    z.writestr(zipfile.ZipInfo("model.pth"), good, zipfile.ZIP_DEFLATED)

torch.manual_seed(1)
torch.save(torch.nn.Linear(3, 2), "module.pth")  # a pickled class, not a state_dict


class Attack:
    def __reduce__(self):
        return os.system, ("touch ATTACKED",)


torch.save({"fc.weight": Attack()}, "attack.pth")
torch.save([1, 2], "list.pth")
torch.save({"fc.weight": torch.tensor([1.0, float("nan")])}, "nan.pth")


def forge(name, pickled, storage=b"\0" * 8, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(name, "w") as z:
        for inner, content in [("data.pkl", pickled), ("data/0", storage)]:
            z.writestr(zipfile.ZipInfo("forged/" + inner), content, compression)  # of 1980: the same bytes again


number = lambda n: b"\x8a\x08" + n.to_bytes(8, "little")
numbers = lambda list_: b"(" + b"".join(map(number, list_)) + b"t"
text = lambda s: b"X" + len(s).to_bytes(4, "little") + s.encode()


def rebuild(size, stride, count=2, offset=0):
    """The pickled call that makes a tensor of such a size over a storage of two floats."""
    storage = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu") + number(count) + b"tQ"
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + number(offset) + numbers(size) + numbers(stride) + b"\x89}tR"


def tensor(size, stride, count=2, offset=0, name="w"):
    """The pickle of {name: such a tensor}."""
    return b"\x80\x02}" + text(name) + rebuild(size, stride, count, offset) + b"s."


assert pickle.PROTO == tensor([1], [1])[:1]
forge("outside.pth", tensor([3], [1]))
forge("offset.pth", tensor([2], [1], offset=1))
forge("overflow.pth", tensor([2], [1], offset=2**63 - 1))
forge("huge.pth", tensor([2**31 - 1, 2**31 - 1], [0, 0]))
forge("expanded.pth", tensor([2**27], [0]))
forge("storage.pth", tensor([2], [1], count=2**20))
forge("negative.pth", tensor([2], [2**64 - 1]))
forge("length.pth", b"\x80\x02X\xff\xff\xff\x7f")  # text of 2 GiB
forge("opcode.pth", b"\x80\x02ios\nsystem\n.")
forge("unfinished.pth", b"\x80\x02}")
forge("empty_stack.pth", b"\x80\x02R.")
forge("frame.pth", b"\x80\x04\x95" + number(2**45)[2:] + b"}.")  # of 32 TiB
forge("twice.pth", b"\x80\x02}(" + text("w") + rebuild([1], [1]) + text("w") + rebuild([2], [1]) + b"u.")
forge("lines.pth", b"\x80\x02}" + text("a\nb\x1b[31m") + b"Ns.")
forge("quoted.pth", b"\x80\x02ccollections\nOrderedDict\n(" + rebuild([2], [1]) + b"tR.")  # the library quotes the argument
forge("bomb.pth", tensor([2], [1]), b"\0" * 2**20, zipfile.ZIP_DEFLATED)
