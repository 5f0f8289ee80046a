"""Reads the file named by the argument with the Python library and fails if it
is not what generate.py writes. TestPythonReadsOurs runs it."""
import sys

import numpy
from safetensors import safe_open

with safe_open(sys.argv[1], "numpy") as got, safe_open(sys.argv[2], "numpy") as want:
    assert got.metadata() == want.metadata(), got.metadata()
    assert sorted(got.keys()) == sorted(want.keys()), got.keys()
    for name in want.keys():
        g, w = got.get_tensor(name), want.get_tensor(name)
        assert g.dtype == w.dtype and g.shape == w.shape, (name, g.dtype, g.shape)
        assert numpy.array_equal(g, w), name
print("ok")
