#!/usr/bin/env python3
"""Checks what a program links: one whose model has no convolution links none.

    links.py WITHOUT WITH    no symbol of a convolution in program WITHOUT, some in program WITH
"""
import re
import subprocess
import sys

CONVOLUTION = re.compile(r"\b(gather_tiles|scatter_tiles|transform_kernel|windows_forward|conv2d)<")  # not what plans count


def convolutions(program):
    symbols = subprocess.run(["nm", "-C", program], check=True, capture_output=True, text=True).stdout
    return [line for line in symbols.splitlines() if CONVOLUTION.search(line)]


def main():
    without, with_some = sys.argv[1:]
    wrong = convolutions(without)
    for line in wrong[:10]:
        print(f"{without}: {line}")
    if not convolutions(with_some):
        print(f"{with_some}: expected convolutions, found none")
        return 1
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
