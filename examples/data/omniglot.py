#!/usr/bin/env python3
"""Turns Omniglot's image archives into the IDX files that loru reads.

    omniglot.py DIR ARCHIVE.zip...

Writes DIR/images-idx3-ubyte.gz (28x28, ink is 255), DIR/labels-idx1-short (the character),
DIR/writers-idx1-short (the person who drew it: 20 for each alphabet) and DIR/classes.txt
(alphabet/character, one a line). An alphabet that is in two archives counts once.
"""
import gzip
import re
import struct
import sys
import zipfile
import zlib
from pathlib import Path

SIDE, SMALL = 105, 28
ALL = (1 << 112) - 1  # a line of 105 pixels fills 14 bytes
NAME = re.compile(r"([^/]+)/(character\d+)/\d+_(\d+)\.png$")


def read_png(data):
    """The rows of a PNG of 105x105 pixels of one bit, as text: "1" where there is ink (black)."""
    if data[:8] != b"\x89PNG\r\n\x1a\n":
        raise ValueError("not a PNG")
    at, packed = 8, b""
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at:at + 8])
        body = data[at + 8:at + 8 + length]
        at += 12 + length
        if kind == b"IHDR":
            width, height, depth, colour, _, _, interlace = struct.unpack(">IIBBBBB", body)
            if (width, height, depth, colour, interlace) != (SIDE, SIDE, 1, 0, 0):
                raise ValueError(f"expected 105x105 pixels of one grey bit, got {body.hex()}")
        elif kind == b"IDAT":
            packed += body
    raw, stride = zlib.decompress(packed), (SIDE + 7) // 8
    rows, above = [], bytes(stride)
    for y in range(SIDE):
        start = y * (stride + 1)
        above = unfilter(raw[start], bytearray(raw[start + 1:start + 1 + stride]), above)
        rows.append(f"{~int.from_bytes(above, 'big') & ALL:0{8 * stride}b}"[:SIDE])
    return rows


def unfilter(method, line, above):
    """Undoes one of PNG's five filters on a line."""
    if method:
        for i, up in enumerate(above):
            left, corner = (line[i - 1], above[i - 1]) if i else (0, 0)
            if method == 4:
                guess = min((left, up, corner), key=lambda value: abs(left + up - corner - value))
            else:
                guess = (0, left, up, (left + up) // 2)[method]
            line[i] = (line[i] + guess) & 255
    return bytes(line)


def covers(i):
    """The pixels under small pixel i, which is 3.75 pixels wide, and how much of each is under it, in quarters."""
    first, last = 15 * i, 15 * (i + 1)
    return [(x, min(4 * x + 4, last) - max(4 * x, first)) for x in range(first // 4, (last + 3) // 4)]


COVERS = [covers(i) for i in range(SMALL)]


def shrink(rows):
    """28x28 bytes: the share of ink in each small pixel."""
    narrow = {y: [sum(share for x, share in part if row[x] == "1") for part in COVERS]
              for y, row in enumerate(rows) if "1" in row}
    small = bytearray()
    for part in COVERS:
        lines = [(narrow[y], share) for y, share in part if y in narrow]
        # 225 sixteenths of a pixel make one small pixel.
        small += bytes((255 * sum(line[i] * share for line, share in lines) + 112) // 225 for i in range(SMALL))
    return bytes(small)


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    folder = Path(sys.argv[1])
    drawings = {}
    for archive in map(zipfile.ZipFile, sys.argv[2:]):
        for name in archive.namelist():
            match = NAME.search(name)
            if match:
                drawings.setdefault((match[1], match[2], int(match[3])), (archive, name))
    alphabets = sorted({alphabet for alphabet, _, _ in drawings})
    classes = sorted({(alphabet, character) for alphabet, character, _ in drawings})

    images, labels, writers = bytearray(), [], []
    for key in sorted(drawings):
        archive, name = drawings[key]
        images += shrink(read_png(archive.read(name)))
        labels.append(classes.index(key[:2]))
        writers.append(20 * alphabets.index(key[0]) + key[2] - 1)

    count = len(labels)
    shorts = struct.pack(">II", 0x0B01, count)
    (folder / "labels-idx1-short").write_bytes(shorts + struct.pack(f">{count}h", *labels))
    (folder / "writers-idx1-short").write_bytes(shorts + struct.pack(f">{count}h", *writers))
    (folder / "classes.txt").write_text("".join(f"{alphabet}/{character}\n" for alphabet, character in classes))
    with gzip.GzipFile(folder / "images-idx3-ubyte.gz", "wb", mtime=0) as file:
        file.write(struct.pack(">4I", 0x0803, count, SMALL, SMALL) + bytes(images))
    print(f"omniglot: {count} drawings of {len(classes)} characters by {len(set(writers))} writers")


if __name__ == "__main__":
    main()
