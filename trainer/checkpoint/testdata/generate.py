"""Writes python.safetensors with the Python library, for checkpoint_test.go.

    pip install safetensors==0.8.0 numpy && python3 generate.py

Element i of the n-th float tensor is (n + 1) * (i - 2) / 8, exact in float32.
"""
import numpy
from safetensors.numpy import save_file

shapes = [("conv1.weight", (2, 3, 2, 2)), ("conv1.bias", (2,)), ("bn1.weight", (2,)), ("bn1.bias", (2,)),
          ("bn1.running_mean", (2,)), ("bn1.running_var", (2,)), ("fc1.weight", (4, 18)), ("fc1.bias", (4,))]
tensors = {}
for n, (name, shape) in enumerate(shapes):
    tensors[name] = ((n + 1) * (numpy.arange(numpy.prod(shape)) - 2) / 8).astype(numpy.float32).reshape(shape)
tensors["bn1.num_batches_tracked"] = numpy.array(938, dtype=numpy.int64)
save_file(tensors, "python.safetensors", metadata={"model": "tiny", "epoch": "3", "note": "<ü>"})
