#!/usr/bin/env python3
"""Images per second of ONNX Runtime, for comparison: `fmnist-gpu bench --infer --against` runs it.

After each line of input it prints a line of JSON and an empty line. The file is one
of `fmnist-gpu export --fold --input uint8`; a step takes a batch of bytes in memory
to probabilities in memory. ONNX Runtime has no setting that limits its instructions.
"""
import argparse
import os

import numpy as np
import onnxruntime

import peer

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("file", help="ONNX file")
parser.add_argument("--batch-size", type=int, default=64)
parser.add_argument("--threads", type=int, default=os.cpu_count())
parser.add_argument("--seconds", type=float, default=1.0)
args = parser.parse_args()

options = onnxruntime.SessionOptions()
options.intra_op_num_threads, options.inter_op_num_threads = args.threads, 1
options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
session = onnxruntime.InferenceSession(args.file, options, ["CPUExecutionProvider"])
_, *shape = session.get_inputs()[0].shape  # (N, H, W, C)
_, classes = session.get_outputs()[-1].shape
images = np.random.default_rng(1).integers(256, size=(args.batch_size, *shape), dtype=np.uint8)
memory = session.io_binding()
memory.bind_ortvalue_input("input", onnxruntime.OrtValue.ortvalue_from_numpy(images))
memory.bind_ortvalue_output("probabilities", onnxruntime.OrtValue.ortvalue_from_numpy(np.empty((args.batch_size, classes), np.float32)))


def run():
    session.run_with_iobinding(memory)


for _ in range(5):
    run()
peer.serve([(f"ONNX Runtime {onnxruntime.__version__} fp32", args.batch_size, run)], args.seconds, latency=True)
