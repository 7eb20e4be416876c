#!/usr/bin/env python3
"""Writes the bundled digits with other targets than their classes, for regression and for several labels at once.

    digits_targets.py FOLDER

digits_ink.{train,test}.safetensors: (N, 4) float32, the mean ink of the four quarters of the 16 pixels in the middle.
digits_traits.{train,test}.safetensors: (N, 3) uint8, whether the digit is even, is above 4, and has a closed loop.
x is (N, 1, 8, 8) uint8 from 0 to 16; for digits_ink its middle is wiped out, so that there is something to guess.
client is the number of the sample modulo 20. Every fifth sample is test.
"""
import gzip
import struct
import sys
from pathlib import Path

from arrays import Array, write

LOOPS = {0, 6, 8, 9}


def middle(row, column):
    return 2 <= row < 6 and 2 <= column < 6


def quarters(image):
    """Mean ink in 0 .. 1 of each 2x2 quarter of the 4x4 pixels in the middle."""
    for top in (2, 4):
        for left in (2, 4):
            yield sum(image[8 * (top + i) + left + j] for i in (0, 1) for j in (0, 1)) / 64


def main(folder):
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with gzip.open(Path(__file__).parent / "digits.csv.gz", "rt") as file:
        rows = [[int(float(field)) for field in line.split(",")] for line in file]
    for half in ("train", "test"):
        chosen = [row for i, row in enumerate(rows) if (i % 5 == 4) == (half == "test")]
        n = len(chosen)
        client = Array("int32", (n,), struct.pack(f"<{n}i", *(i % 20 for i in range(n))))
        wiped = bytes(0 if middle(i // 8, i % 8) else row[i] for row in chosen for i in range(64))
        ink = [value for row in chosen for value in quarters(row)]
        write(folder / f"digits_ink.{half}.safetensors", client=client, x=Array("uint8", (n, 1, 8, 8), wiped),
              y=Array("float32", (n, 4), struct.pack(f"<{4 * n}f", *ink)))
        pixels = bytes(value for row in chosen for value in row[:64])
        traits = bytes(int(t) for row in chosen for t in (row[64] % 2 == 0, row[64] > 4, row[64] in LOOPS))
        write(folder / f"digits_traits.{half}.safetensors", client=client, x=Array("uint8", (n, 1, 8, 8), pixels),
              y=Array("uint8", (n, 3), traits))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    main(sys.argv[1])
