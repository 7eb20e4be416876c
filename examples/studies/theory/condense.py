#!/usr/bin/env python3
"""What the study keeps of a folder of federate spectrum: its rows without names that are known, and of the density
the share of the energy sum of eigenvalues squared in the outliers.

    condense.py FOLDER RESULT.csv

Rows are added to those that RESULT.csv has. An eigenvalue is an outlier here if its magnitude is at least a tenth of
the norm of the server's operator in the same round and of the same number of samples a client. Added columns:
outlier_energy (the share), participation and top (span.csv).
"""
import csv
import os
import shutil
import sys

KEY = ("round", "who", "client", "samples", "operator", "layer")
KEPT = ("round", "who", "client", "samples", "norm", "norm_residual", "frobenius2", "frobenius2_error", "trace",
        "stable_rank", "stable_rank_error", "effective_rank", "entropy_rank", "outliers", "gradients")
DIGITS = 7


def rows(path):
    with open(path, newline="") as file:
        yield from csv.DictReader(file)


def key(row):
    return tuple(row[name] for name in KEY)


def short(text):
    """A number with DIGITS significant digits; anything else as it is."""
    try:
        return format(float(text), f".{DIGITS}g")
    except ValueError:
        return text


def edges(spectra):
    """A tenth of the server's norm for each row: server and clients follow each other."""
    edge, by_row = 0.0, {}
    for row in spectra:
        if row["who"] == "server":
            edge = 0.1 * float(row["norm"])
        by_row[key(row)] = edge
    return by_row


def energies(path, edge):
    """Share of sum w λ² at |λ| >= edge, by row."""
    inside, whole = {}, {}
    for row in rows(path):
        where, value = key(row), float(row["eigenvalue"])
        energy = float(row["weight"]) * value * value
        whole[where] = whole.get(where, 0.0) + energy
        if abs(value) >= edge[where]:
            inside[where] = inside.get(where, 0.0) + energy
    return {where: inside.get(where, 0.0) / total if total else 0.0 for where, total in whole.items()}


def main(folder, result):
    spectra = list(rows(os.path.join(folder, "spectrum.csv")))
    shares = energies(os.path.join(folder, "density.csv"), edges(spectra))
    spans = {key(row): row for row in rows(os.path.join(folder, "span.csv"))}
    part = result + ".part"
    shutil.copyfile(result if os.path.exists(result) else os.devnull, part)
    with open(part, "a", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        if file.tell() == 0:
            out.writerow(KEPT + ("outlier_energy", "participation", "top"))
        for row in spectra:
            span = spans[key(row)]
            out.writerow([short(row[name]) for name in KEPT] +
                         [short(shares[key(row)]), short(span["participation"]), short(span["top"])])
    os.replace(part, result)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
