#!/usr/bin/env python3
"""Divides the bundled digits among the clients of federation.toml, as federate does.

    digits.py FOLDER    writes train.safetensors and test.safetensors, for federate,
                        client-0.npz, client-1.npz, ..., one for each node, and test.npz for the server
"""
import gzip
import sys
import tomllib
from pathlib import Path

import numpy as np

import loru

HERE = Path(__file__).resolve().parent


def digits():
    """x (N, 1, 8, 8) of bytes up to 240 and y (N)."""
    with gzip.open(HERE.parent / "data/digits.csv.gz", "rt") as lines:
        table = np.loadtxt(lines, delimiter=",", dtype=np.int64)
    return (15 * table[:, :64]).astype(np.uint8).reshape(-1, 1, 8, 8), table[:, 64]


def write(folder, configuration):
    """Every fifth digit is for the test. Node k gets the samples of client k."""
    folder.mkdir(parents=True, exist_ok=True)
    x, y = digits()
    test = np.arange(len(y)) % 5 == 4
    loru.save_arrays(folder / "train.safetensors", x[~test], y[~test])
    loru.save_arrays(folder / "test.safetensors", x[test], y[test])
    np.savez(folder / "test.npz", x=x[test], y=y[test])
    x, y = x[~test], y[~test]
    tables = tomllib.loads(configuration.read_text())
    parts = loru.partition(y, clients=tables["federation"]["clients"], seed=tables.get("seed", 1),
                           **tables.get("partition", {}))
    for k, samples in enumerate(parts):
        np.savez(folder / f"client-{k}.npz", x=x[samples], y=y[samples])
    print(", ".join(f"client {k}: {len(samples)} samples" for k, samples in enumerate(parts)))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    write(Path(sys.argv[1]), HERE / "federation.toml")
