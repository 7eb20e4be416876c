#!/usr/bin/env python3
"""What a round costs for each client, byte and rank, measured, and the seconds of a round on more nodes from that.

    cost.py [--bin build/release/bin] [--mpirun mpirun] [--pairs 3] [--write]

Runs the benchmark `server` (a server's own work for a client) and federations of one thread (a client's turn), and fits
seconds for a client and for a byte. Compares the model with runs on 1, 2 and 4 ranks of one thread, in turn; with more ranks
than cores they share the cores. --write puts the tables into docs/scale.md. One closing line; exits 0 if every round is
within 15 % of what the model says, else 1. It is a timing: the machine has to be idle.
"""
import argparse
import dataclasses
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BEGIN, END = "<!-- cost: begin, written by tests/scale/cost.py --write -->", "<!-- cost: end -->"
NETWORK = 1.25e9  # bytes a second into the root: 10 Gbit/s
LIMB_BYTES = 24   # a partial sum has three limbs of 8 bytes a number
CORES = 32        # of a node
TOLERANCE = 0.15


@dataclasses.dataclass(frozen=True)
class Work:
    """A federation: its turn is measured, its updates are those of a case of the benchmark."""
    name: str
    case: str
    settings: tuple
    cohort: int


COMMON = ("federation.clients=100000", "federation.eval_every=0", "federation.rounds=4")
WORKS = (
    Work("mlp, r = 8, 20 images a client, 2 epochs", "mlp, r = 8", COMMON, 400),
    Work("cnn, r = 16, 60 images a client, 1 epoch", "cnn, r = 16",
         (*COMMON, "model.name=cnn", "lowrank.rank=16", "lowrank.layers=[]", "partition.samples=60", "client.epochs=1",
          "client.batch=10"), 32),
)


@dataclasses.dataclass(frozen=True)
class Cost:
    """What a federation costs: seconds of a turn, of the root for a client and of joining a partial sum; bytes."""
    turn: float
    own: float
    join: float
    update_bytes: int  # of an update
    sum_bytes: int     # of a partial sum
    rank_bytes: float  # down to a rank in a round: what of the state changed, the broadcast, W of a merge


def round_seconds(cost, cohort, nodes):
    """Seconds of a round with whole updates to the root, with one partial sum a node, and whether the root limits the first.

    What goes down comes before the turns. Answers are taken in one at a time beside the threads that train: at the root
    all of them, with partial sums those of a node; these are joined at the end, one after the other.
    """
    down = (nodes - 1) * cost.rank_bytes / NETWORK
    train = cohort * cost.turn / (CORES * nodes)
    fold = cohort * max(cost.own, cost.update_bytes / NETWORK if nodes > 1 else 0.0)
    joins = (nodes - 1) * max(cost.join, cost.sum_bytes / NETWORK)
    return down + max(train, fold), down + max(train, cohort * cost.own / nodes) + joins, fold > train


def projection(name, cost):
    """The table of a federation's rounds on more nodes."""
    nodes = (1, 10, 100, 1000)
    rows = []
    for cohort in (10**3, 10**4, 10**5, 10**6):
        row = [f"{cohort:,}"]
        for n in nodes:
            whole, tree, root = round_seconds(cost, cohort, n)
            row.append(f"{shown(whole)}{' (root)' if root else ''} / {shown(tree)}")
        rows.append(row)
    return (f"{name}: a turn takes {1e3 * cost.turn:.2f} ms, an update has {cost.update_bytes:,} bytes, and "
            f"{cost.rank_bytes / 1e6:.2f} MB go down to a rank in a round. Seconds of a round on nodes of {CORES} such cores, "
            "one rank each, and a network of 10 Gbit/s, with whole updates to the root / with one partial sum a node; "
            "(root): the root is the limit.\n\n"
            + table(["cohort", *(f"{n} node{'s' if n > 1 else ''}" for n in nodes)], rows))


def federate(options, work, ranks):
    """Seconds of a round, and bytes of the frozen weights that go to a rank in a round, on average."""
    with tempfile.TemporaryDirectory() as out:
        launcher = [options.mpirun, "-n", str(ranks), "--bind-to", "none"] if ranks > 0 else []
        command = [*launcher, str(options.bin / "federate"), str(ROOT / "examples/federations/million.toml"), "--quiet",
                   "--threads", "1", "--out", out, "--set", f"federation.cohort={work.cohort}"]
        for setting in work.settings:
            command += ["--set", setting]
        if ranks > 0:
            command += ["--executor", "mpi"]
        environment = {**os.environ, "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
                       "OMPI_MCA_rmaps_base_oversubscribe": "1"}
        if subprocess.run(command, env=environment).returncode != 0:
            sys.exit(f"cost: failed: {' '.join(command)}")
        rows = (Path(out) / "rounds.csv").read_text().splitlines()
        at = rows[0].split(",").index("seconds")
        seconds = statistics.median(float(row.split(",")[at]) for row in rows[2:])  # the first one also warms up
        summary = json.loads((Path(out) / "summary.json").read_text())
        frozen = 4 * (summary["parameters_total"] - summary["parameters_trained"])
        return seconds, frozen * summary["merges"] / summary["rounds"]


def line_through(points):
    """Least squares of y = a + b·x with each point weighted by 1 / y: relative errors count."""
    w = [1 / y ** 2 for _, y in points]
    sw, sx, sy = sum(w), sum(k * x for k, (x, _) in zip(w, points)), sum(k * y for k, (_, y) in zip(w, points))
    sxx, sxy = sum(k * x * x for k, (x, _) in zip(w, points)), sum(k * x * y for k, (x, y) in zip(w, points))
    b = (sw * sxy - sx * sy) / (sw * sxx - sx * sx)
    return (sy - b * sx) / sw, b


def table(head, rows):
    return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in (head, ["---"] * len(head), *rows)) + "\n"


def shown(seconds):
    return f"{seconds:.3g}" if seconds < 1000 else f"{seconds:,.0f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=Path, default=ROOT / "build/release/bin")
    parser.add_argument("--mpirun", default="mpirun")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    cores = len(os.sched_getaffinity(0))

    cases = json.loads(subprocess.run([options.bin / "server"], check=True, capture_output=True, text=True).stdout)["server"]
    client, byte = line_through([(c["update_bytes"], 1e-6 * (c["offer_us"] + c["receive_us"])) for c in cases])
    text = ["What the server itself does for a client, on one thread (`bench/server`):\n", table(
        ["model", "bytes of an update", "hand out, µs", "check and fold, µs", "end of a round, ms", "add a partial sum, ms"],
        [(c["model"], f"{c['update_bytes']:,}", f"{c['offer_us']:.1f}", f"{c['receive_us']:.1f}", f"{c['finish_ms']:.2f}",
          f"{c['join_ms']:.2f}") for c in cases])]
    text.append(f"So a client costs the root {1e6 * client:.0f} µs and {1e9 * byte:.2f} ns a byte of its update.\n")

    found, compared, worst = {}, [], 0.0
    for work in WORKS:
        times, frozen = {ranks: [] for ranks in (0, 1, 2, 4)}, 0.0
        for _ in range(options.pairs):
            for ranks, all in times.items():
                seconds, frozen = federate(options, work, ranks)
                all.append(seconds)
        seconds = {ranks: statistics.median(all) for ranks, all in times.items()}
        case = next(c for c in cases if c["model"] == work.case)
        own = client + byte * case["update_bytes"]
        turn = seconds[0] / work.cohort - own  # the run without MPI gives the turn
        found[work.name] = Cost(turn, own, 1e-3 * case["join_ms"], case["update_bytes"], LIMB_BYTES * case["numbers"],
                                2 * case["update_bytes"] + frozen)
        for ranks in (1, 2, 4):
            expected = work.cohort * (turn + own) / min(ranks, cores)
            error = seconds[ranks] / expected - 1
            worst = max(worst, abs(error))
            compared.append((work.name, ranks, shown(expected), shown(seconds[ranks]), f"{100 * error:+.0f} %"))
            print(*compared[-1], sep=", ", flush=True)
    text.append(f"Rounds on this machine of {cores} cores, ranks of one thread; with more ranks than cores they share the "
                "cores. The model: cohort · (turn + the root's own work) / cores, with the turn measured without MPI.\n")
    text.append(table(["work", "ranks", "model, s", "measured, s", "off by"], compared))

    text += [projection(name, cost) for name, cost in found.items()]

    report = "\n".join(text)
    print(report)
    if options.write:
        page = ROOT / "docs/scale.md"
        before, rest = page.read_text().split(BEGIN)
        page.write_text(f"{before}{BEGIN}\n{report}{END}{rest.split(END)[1]}")
    good = worst <= TOLERANCE
    print(f"cost: {'' if good else 'failed: '}{1e6 * client:.0f} us a client and {1e9 * byte:.2f} ns a byte; rounds within "
          f"{100 * worst:.0f} % of the model")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
