"""What the tests of the Python module share. Each is run as FILE FEDERATE ROOT, with the module in PYTHONPATH."""
import csv
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import numpy as np

FEDERATE = ""
ROOT = Path()

# A federation of a fraction of a second, with two merges.
TINY = {
    "seed": 7,
    "data": {"name": "synthetic", "shape": [1, 4, 4], "classes": 4, "train_samples": 240, "test_samples": 80},
    "model": {"name": "mlp"},
    "lowrank": {"rank": 4, "alpha": 4},
    "algorithm": {"name": "fedloru", "tau": 2},
    "federation": {"clients": 12, "cohort": 4, "rounds": 5, "eval_every": 2},
    "client": {"epochs": 1, "batch": 8},
}


class Case(unittest.TestCase):
    """A test with an empty folder of its own, which is the working folder."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(folder.name)
        self.folder = Path(folder.name)


def federate(*arguments):
    return subprocess.run([FEDERATE, *map(str, arguments)], capture_output=True, text=True)


def said(done):
    """What federate printed on its way out, without its name."""
    assert done.stderr.startswith("federate: ") and done.stderr.count("\n") == 1, done.stderr
    return done.stderr[len("federate: "):-1]


def read_csv(path):
    """Columns of numbers; NaN where a field is empty."""
    with open(path, newline="") as text:
        names, *rows = csv.reader(text)
    return {name: np.array([float(row[i] or "nan") for row in rows]) for i, name in enumerate(names)}


def with_keys(config, **keys):
    """A copy with other values: with_keys(TINY, algorithm={"name": "fedavg"})."""
    return {**config, **{name: {**config.get(name, {}), **value} if isinstance(value, dict) else value
                         for name, value in keys.items()}}


def main():
    global FEDERATE, ROOT
    FEDERATE, ROOT = os.path.abspath(sys.argv.pop(1)), Path(sys.argv.pop(1)).resolve()
    unittest.main()
