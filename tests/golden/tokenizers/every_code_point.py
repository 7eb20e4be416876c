#!/usr/bin/env python3
"""Compares loru's tokenizers with the package `tokenizers` on every code point.

    pip install tokenizers==0.23.3 gguf
    every_code_point.py [--compiler g++] [--beside] [TOKENIZER ...]

BERT's normal form, its words and the pieces of byte-level tokenizers are compared, and the ids of each TOKENIZER
(tokenizer.json, a folder with one, or X.gguf). Every code point stands alone; with --beside also between letters, twice
after a blank, and among combining marks. Prints what differs and exits 1 if something does.
"""
import argparse
import array
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

from tokenizers import normalizers, pre_tokenizers

sys.path.insert(0, str(Path(__file__).parent))
import reference  # noqa: E402

ROOT = Path(__file__).parents[3]
TEMPLATES = ["{}", "a{}b", " {0}{0}1 ", "\u302e\u0301{}\U0001d165\u0900"]


def build(compiler, folder):
    program = f"{folder}/tokenize"
    subprocess.run([compiler, "-std=c++20", "-O2", f"-I{ROOT}/include", str(Path(__file__).parent / "tokenize.cpp"), "-o",
                    program], check=True)
    return program


def through(program, argument, texts):
    """The program's record for each text."""
    records = b"".join(struct.pack("<I", len(text)) + text for text in texts)
    out = subprocess.run([program, argument], input=records, stdout=subprocess.PIPE, check=True).stdout
    at = 0
    while at < len(out):
        size = struct.unpack_from("<I", out, at)[0]
        yield out[at + 4:at + 4 + size]
        at += 4 + size


def compare(name, program, argument, texts, expected):
    """Number of texts that differ."""
    differ = 0
    for text, want, got in zip(texts, expected, through(program, argument, [text.encode() for text in texts]), strict=True):
        if want != got:
            differ += 1
            if differ <= 5:
                print(f"  {ascii(text)}: expected {want}, got {got}")
    print(f"{name}: {len(texts)} texts, {differ} differ")
    return differ


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--compiler", default="g++")
    parser.add_argument("--beside", action="store_true")
    parser.add_argument("tokenizers", nargs="*")
    arguments = parser.parse_args()
    normalise = normalizers.BertNormalizer(clean_text=True, handle_chinese_chars=True, strip_accents=None, lowercase=True)
    splitters = {"--words": pre_tokenizers.BertPreTokenizer(),
                 "--pieces": pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True),
                                                      pre_tokenizers.Split(reference.gpt2_expression(), "isolated")])}
    differ = 0
    with tempfile.TemporaryDirectory() as folder:
        program = build(arguments.compiler, folder)
        loaded = [(path, reference.load(path)) for path in arguments.tokenizers]
        for template in TEMPLATES if arguments.beside else TEMPLATES[:1]:
            texts = [template.format(chr(c)) for c in range(0x110000) if not 0xD800 <= c < 0xE000]
            differ += compare(f"normal form {ascii(template)}", program, "--normalise", texts,
                              [normalise.normalize_str(text).encode() for text in texts])
            for option, splitter in splitters.items():
                differ += compare(f"{option[2:]} {ascii(template)}", program, option, texts,
                                  ["\0".join(piece for piece, _ in splitter.pre_tokenize_str(text)).encode()
                                   for text in texts])
            for path, tokenizer in loaded:
                encoded = tokenizer.encode_batch_fast(texts, add_special_tokens=False)
                differ += compare(f"ids of {path} {ascii(template)}", program, path, texts,
                                  [array.array("i", encoding.ids).tobytes() for encoding in encoded])
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
