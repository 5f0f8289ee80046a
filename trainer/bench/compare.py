#!/usr/bin/env python3
"""Compares the CPU backend with PyTorch and ONNX Runtime, which must be installed.

Each case is a run of `fmnist-gpu bench --against` pytorch.py and, for fp32 classifiers,
onnx_runtime.py: medians of rounds in turn. Prints a line per case and program, with
the fastest of the program's configurations; a ratio above 1 says that fmnist-gpu is
faster. Cases of batch 1 compare the median times of single steps. In cases AVX2 all
are held to AVX2, except ONNX Runtime, which cannot be and is left out.
"""
import argparse
import functools
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

FOLDER = pathlib.Path(__file__).parent
AVX2 = {"FMNIST_CPU": "avx2", "ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2",
        "TORCHINDUCTOR_CPP_MARCH": "x86-64-v3"}
CASES = [  # model, images per step, classify, variants
    ("fashioncnn", 64, False, ("fp32", "mixed", "AVX2")),
    ("alternative", 64, False, ("fp32", "mixed", "AVX2")),
    ("logistic", 64, False, ("fp32", "mixed")),
    ("resnet20", 64, False, ("fp32", "mixed", "AVX2")),
    ("fashioncnn", 256, True, ("fp32", "mixed", "AVX2")),
    ("fashioncnn", 1, True, ("fp32", "mixed", "AVX2")),
]

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--program", default="./fmnist-gpu")
parser.add_argument("--only", default="", metavar="REGEXP", help="cases to run, such as 'train fashioncnn|AVX2|1 thread'")
parser.add_argument("--rounds", type=int, default=5)
parser.add_argument("--seconds", type=float, default=0.7, help="of each program's configuration and round")
parser.add_argument("--record", metavar="FILE", help="file to append all results to, a line of JSON per case")
args = parser.parse_args()


def fmnist_gpu(*arguments, env=None):
    """Returns what the program prints."""
    command = [args.program, *map(str, arguments)]
    return subprocess.run(command, env={**os.environ, **(env or {})}, stdout=subprocess.PIPE, text=True, check=True).stdout


def export(folder):
    """Returns an ONNX file of fashioncnn. Its weights, of one step, are as fast as others."""
    fmnist_gpu("train", "--cpu", "--model", "fashioncnn", "--max-steps", 1, "--no-progress", "--out", folder, "--name", "run")
    fmnist_gpu("export", "--checkpoint", f"{folder}/run", "--fold", "--input", "uint8", "--out", f"{folder}/model.onnx")
    return f"{folder}/model.onnx"


def configurations(infer, precision):
    """Returns PyTorch's configurations that are the fastest of some case."""
    modes = ("", "compile-", "frozen-", "optimized-") if infer else ("", "compile-")
    layouts = ("-channels-last",) if infer else ("", "-channels-last")
    return ",".join(mode + precision + layout for mode in modes for layout in layouts)


def run(model, batch, infer, variant, threads, onnx):
    """Returns the results of a case, as bench --json prints them."""
    precision = "mixed" if variant == "mixed" else "fp32"
    common = ["--threads", str(threads), "--batch-size", str(batch), "--seconds", str(args.seconds)]
    network = ["--model", model] + ["--infer"] * infer
    peers = [[f"{FOLDER}/pytorch.py", *common, *network, "--configs", configurations(infer, "bf16" if precision == "mixed" else "fp32")]]
    if infer and variant == "fp32":
        peers.append([f"{FOLDER}/onnx_runtime.py", onnx(), *common])
    against = [word for p in peers for word in ("--against", " ".join([sys.executable, *p]))]
    return json.loads(fmnist_gpu("bench", "--cpu", "--json", "--no-profile", "--precision", precision, "--rounds", args.rounds, *common, *network,
                                 *against, env=AVX2 if variant == "AVX2" else None))


def show(case, latency, result, peers):
    """Prints a line per program."""
    def speed(r):
        return 1e3 / r["latency_ms"]["median"] if latency else r["images_per_second"]

    def text(r):
        return f"{r['latency_ms']['median']:.3f} ms" if latency else f"{r['images_per_second']:,.0f}/s"

    for program in ("PyTorch", "ONNX Runtime"):
        of_program = [p for p in peers if p["name"].startswith(program)]
        if of_program:
            best = max(of_program, key=speed)
            print(f"{case:<50}  {text(result):>12}  {text(best):>12}  {speed(result) / speed(best):5.2f}  {best['name']}", flush=True)


def cases():
    """Yields the cases that the processor can run and --only names."""
    cpu = json.loads(fmnist_gpu("devices", "--json"))["cpu"]
    # Without AVX-512, fp32 is AVX2 already.
    possible = {"fp32": True, "mixed": cpu["bf16"], "AVX2": cpu["avx512"]}
    for threads in sorted({1, cpu["threads"]}):
        for model, batch, infer, variants in CASES:
            for variant in filter(possible.get, variants):
                case = f"{'classify' if infer else 'train'} {model}, batch {batch}, {variant}, {threads} thread{'s' * (threads > 1)}"
                if re.search(args.only, case):
                    yield case, (model, batch, infer, variant, threads)


def main():
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        onnx = functools.cache(lambda: export(folder))
        print(f"{'':<50}  {'fmnist-gpu':>12}  {'other':>12}  ratio")
        for case, parameters in cases():
            try:
                r = run(*parameters, onnx)
            except subprocess.CalledProcessError:  # the program has said why
                print(f"{case:<50}  failed", flush=True)
                failed = True
                continue
            show(case, parameters[1] == 1, r["result"], r["peers"])
            if args.record:
                with open(args.record, "a") as f:
                    print(json.dumps({"case": case, **r}), file=f)
    sys.exit(failed)


main()
