#!/usr/bin/env python3
"""Writes arrays as a safetensors file for `data.name = "safetensors"`.

    arrays.py OUT.safetensors x=x.npy y=y.npy [client=client.npy]

x: (N, n), (N, H, W) or (N, C, H, W), float32 or uint8. y: (N) int32 classes, (N, k) float32 numbers, or (N, k) uint8
labels of which several may hold, as 0 and 1. client: (N) int32, for the natural partition. From a program of your own:

    from arrays import write
    write("train.safetensors", x=x.astype("float32"), y=y.astype("int32"))

An array is anything with dtype, shape and tobytes(), such as numpy's; numpy itself is not needed.
"""
import ast
import json
import struct
import sys
from collections import namedtuple
from pathlib import Path

DTYPES = {"float32": "F32", "uint8": "U8", "int32": "I32"}


class Array(namedtuple("Array", "dtype shape content")):
    """Row-major little-endian bytes with their type and shape."""

    def tobytes(self):
        return self.content


def write(path, **arrays):
    header, data = {}, b""
    for name, array in sorted(arrays.items()):
        if str(array.dtype) not in DTYPES:
            raise SystemExit(f"{name}: expected one of {', '.join(DTYPES)}, got {array.dtype}")
        content = array.tobytes()
        header[name] = {"dtype": DTYPES[str(array.dtype)], "shape": list(array.shape),
                        "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    Path(path).write_bytes(struct.pack("<Q", len(text)) + text + data)


def read_npy(path):
    """https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html"""
    content = Path(path).read_bytes()
    if content[:6] != b"\x93NUMPY":
        raise SystemExit(f"{path}: expected a file that numpy.save wrote")
    begin, size = (10, "<H") if content[6] == 1 else (12, "<I")
    end = begin + struct.unpack_from(size, content, 8)[0]
    header = ast.literal_eval(content[begin:end].decode())
    if header["fortran_order"]:
        raise SystemExit(f"{path}: expected row-major order; save numpy.ascontiguousarray(array)")
    names = {"<f4": "float32", "|u1": "uint8", "<i4": "int32"}
    return Array(names.get(header["descr"], header["descr"]), header["shape"], content[end:])


def main(arguments):
    if len(arguments) < 3 or not all("=" in pair for pair in arguments[1:]):
        raise SystemExit(__doc__)
    write(arguments[0], **{name: read_npy(path) for name, path in (pair.split("=", 1) for pair in arguments[1:])})


if __name__ == "__main__":
    main(sys.argv[1:])
