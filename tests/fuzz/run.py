#!/usr/bin/env python3
"""Feeds the readers of untrusted bytes with mutated files, by clang's libFuzzer with sanitizers.

    run.py [--seconds 300] [--quick] [--compiler clang++-19] [--work build/fuzz] [--jobs 1] [--seed 1] [--tally FILE] [NAME ...]

Each tests/fuzz/NAME.cpp is a target; the files that it begins with are those of SEEDS and of tests/fuzz/seeds/NAME. A reader
may throw loru::Error and nothing else. Exits 1 if a target does, or crashes, or leaks, or holds more than 16 times its input
and 1 MiB, or takes more than 10 seconds for an input.
"""
import argparse
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
GOLDEN = ROOT / "tests/golden"
SEEDS = {
    "adapter": ["peft/bert/adapter_config.json", "peft/bert/adapter_model.safetensors"],
    "broadcast": [],
    "checkpoint": [],
    "cifar": [],
    "configuration": [],
    "csv": [],
    "gguf": ["pretrained/tiny_llama.gguf"],
    "gzip": [],
    "idx": [],
    "llama2c": ["pretrained/tiny_llama.bin"],
    "safetensors": ["pretrained/tiny_llama.safetensors", "linear.f32.safetensors"],
    "texts": [],
    "tokenizer_bin": ["tokenizers/sentence_piece.bin"],
    "tokenizer_json": ["tokenizers/word_piece.json", "tokenizers/byte_pairs.json", "tokenizers/byte_pairs_odd.json"],
    "toml": [],
    "update": [],
}
RUNNER = ROOT / "examples/federate"


def build(name, arguments):
    program = arguments.work / name
    subprocess.run([arguments.compiler, "-std=c++20", "-O0" if arguments.quick else "-O1", "-g1", "-fsanitize=fuzzer,address,undefined",
                    "-fno-sanitize-recover=undefined", "-ffp-contract=off", f"-I{ROOT}/include", "-I/usr/include/eigen3",
                    f"-I{RUNNER}", f"-DLORU_SOURCE_DIR=\"{ROOT}\"", "-DNDEBUG", "-DTOML_HEADER_ONLY=1", "-DTOML_FLOAT_CHARCONV=1",
                    str(HERE / f"{name}.cpp"), "-o", str(program), "-lz"],
                   check=True, capture_output=True, text=True)
    return program


def run(name, arguments):
    """What went wrong, or nothing."""
    corpus = arguments.work / f"{name}.corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for seed in SEEDS[name]:
        shutil.copy(GOLDEN / seed, corpus)
    for seed in sorted((HERE / "seeds" / name).glob("*")):
        shutil.copy(seed, corpus)
    try:
        program = build(name, arguments)
    except subprocess.CalledProcessError as error:
        return f"{name}: does not build\n{error.stderr}"
    result = subprocess.run([str(program), str(corpus), f"-max_total_time={arguments.seconds}", "-timeout=10",
                             "-rss_limit_mb=2048", "-max_len=65536", "-verbosity=0", "-print_final_stats=1", f"-seed={arguments.seed}",
                             f"-artifact_prefix={arguments.work}/{name}-"],
                            stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace")
    inputs = next((line.split()[-1] for line in result.stderr.splitlines() if "executed_units" in line), "?")
    print(f"{name}: {inputs} inputs, {'nothing found' if result.returncode == 0 else 'FAILED'}", flush=True)
    return f"{name}:\n{result.stderr}" if result.returncode != 0 else None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=300)
    parser.add_argument("--quick", action="store_true", help="compile without optimising: for runs of seconds")
    parser.add_argument("--compiler", default="clang++-19")
    parser.add_argument("--work", type=Path, default=ROOT / "build/fuzz")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1, help="of the mutations; 0: another one each time")
    parser.add_argument("--tally", type=Path, help="append lines 'passed failed skipped [NAME]'")
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    names = arguments.names or list(SEEDS)
    with ThreadPoolExecutor(arguments.jobs) as pool:
        complaints = pool.map(lambda name: run(name, arguments), names)
        failed = {name: text for name, text in zip(names, complaints) if text}
    print("\n".join(failed.values()), end="")
    print(f"fuzz: {len(names) - len(failed)} of {len(names)} targets found nothing")
    if arguments.tally:
        with arguments.tally.open("a") as tally:
            print(len(names) - len(failed), 0, 0, file=tally)
            for name in failed:
                print(0, 1, 0, f"fuzz: {name}", file=tally)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
