#!/usr/bin/env python3
"""How much of two cores a run gets from two threads and from two ranks.

    efficiency.py [FEDERATE [MPIRUN]] [--pairs 5] [--rounds 10]     default: build/release/bin/federate mpirun

cnn on Fashion-MNIST, 1,000 clients of 60 images, 16 a round. With T the train_seconds of a run, the efficiency is T1 / (2 T2)
for one and for two threads or ranks. Two independent runs of one thread at the same time show what the machine itself gives:
their T1 / T is its limit. Medians of pairs, one run after the other. One closing line; exits 0 if both efficiencies reach
95 % of the limit, else 1. It is a timing: the machine has to be idle.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = ["data.name=fashion-mnist", "model.name=cnn", "federation.clients=1000", "federation.cohort=16",
            "federation.eval_every=0", "client.epochs=1"]


def start(options, out, launcher=(), threads=1, more=()):
    command = [*launcher, options.federate, str(ROOT / "examples/federations/quickstart.toml"), "--quiet", "--threads",
               str(threads), "--out", str(out), *more]
    for setting in [*SETTINGS, f"federation.rounds={options.rounds}"]:
        command += ["--set", setting]
    environment = {**os.environ, "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    return subprocess.Popen(command, env=environment)


def seconds(process, out):
    if process.wait() != 0:
        sys.exit(f"efficiency: failed: exit code {process.returncode} of {process.args}")
    return json.loads((out / "summary.json").read_text())["train_seconds"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("federate", nargs="?", default=str(ROOT / "build/release/bin/federate"))
    parser.add_argument("mpirun", nargs="?", default="mpirun")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args()
    found = {"limit": [], "threads": [], "ranks": []}
    with tempfile.TemporaryDirectory() as work:
        one, two, other = (Path(work) / name for name in ("one", "two", "other"))
        for _ in range(options.pairs):
            alone = seconds(start(options, one), one)
            both = [start(options, two), start(options, other)]
            found["limit"].append(alone / statistics.mean([seconds(both[0], two), seconds(both[1], other)]))
            found["threads"].append(alone / (2 * seconds(start(options, two, threads=2), two)))
            ranks = start(options, two, [options.mpirun, "-n", "2", "--bind-to", "core"], more=["--executor", "mpi"])
            found["ranks"].append(alone / (2 * seconds(ranks, two)))
            print(", ".join(f"{name} {values[-1]:.3f}" for name, values in found.items()), flush=True)
    limit, threads, ranks = (statistics.median(found[name]) for name in ("limit", "threads", "ranks"))
    good = min(threads, ranks) >= 0.95 * limit
    print(f"efficiency: {'' if good else 'failed: '}threads {threads:.3f}, ranks {ranks:.3f}, the machine's limit {limit:.3f}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
