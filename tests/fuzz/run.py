#!/usr/bin/env python3
"""Feeds the readers of untrusted bytes with mutated files, by clang's libFuzzer with sanitizers.

    run.py [--seconds 300] [--compiler clang++-19] [--work build/fuzz] [NAME ...]

Each tests/fuzz/NAME.cpp is a target; the files that it begins with are those of SEEDS. A reader may throw loru::Error and
nothing else. Exits 1 if a target does, or crashes, or leaks, or takes more than 2 GB or 10 seconds for an input. Not part of
the tests: it takes as long as it is told.
"""
import argparse
import gzip
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
GOLDEN = ROOT / "tests/golden"
SEEDS = {
    "gguf": ["pretrained/tiny_llama.gguf"],
    "llama2c": ["pretrained/tiny_llama.bin"],
    "safetensors": ["pretrained/tiny_llama.safetensors", "linear.f32.safetensors"],
    "tokenizer_json": ["tokenizers/word_piece.json", "tokenizers/byte_pairs.json", "tokenizers/byte_pairs_odd.json"],
    "tokenizer_bin": ["tokenizers/sentence_piece.bin"],
    "texts": ["tokenizers/texts.safetensors.gz"],
    "configuration": [],
    "adapter": ["peft/bert/adapter_config.json", "peft/bert/adapter_model.safetensors"],
}


def build(name, arguments):
    program = arguments.work / name
    subprocess.run([arguments.compiler, "-std=c++20", "-O1", "-g", "-fsanitize=fuzzer,address,undefined",
                    "-fno-sanitize-recover=undefined", f"-I{ROOT}/include", f"-DLORU_SOURCE_DIR=\"{ROOT}\"",
                    str(HERE / f"{name}.cpp"), "-o", str(program), "-lz"], check=True)
    return program


def run(name, arguments):
    corpus = arguments.work / f"{name}.corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for seed in SEEDS[name]:
        data = (GOLDEN / seed).read_bytes()
        (corpus / Path(seed).name).write_bytes(gzip.decompress(data) if seed.endswith(".gz") else data)
    for seed in sorted((HERE / "seeds" / name).glob("*")):
        shutil.copy(seed, corpus)
    return subprocess.run([str(build(name, arguments)), str(corpus), f"-max_total_time={arguments.seconds}", "-timeout=10",
                           "-rss_limit_mb=2048", "-max_len=200000", "-verbosity=0", "-print_final_stats=1",
                           f"-artifact_prefix={arguments.work}/{name}-"]).returncode


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=300)
    parser.add_argument("--compiler", default="clang++-19")
    parser.add_argument("--work", type=Path, default=ROOT / "build/fuzz")
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    failed = [name for name in arguments.names or SEEDS if run(name, arguments) != 0]
    print(f"fuzz: failed: {', '.join(failed)}" if failed else "fuzz: nothing found")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
