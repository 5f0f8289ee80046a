"""Writes the PyTorch files that pytorch_test.go reads, good ones and hostile ones.

    pip install torch==2.15.0 numpy && cd pytorch && python3 ../generate_pytorch.py
"""
import os
import pickle
import zipfile
from collections import OrderedDict

import torch

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
