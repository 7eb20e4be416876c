#!/usr/bin/env python3
"""The tables of docs/merges.md from results/: prints them as Markdown.

Differences are paired by seed; intervals are 95 % of Student's t over the seeds.
"""
import csv
import glob
import math
import os
import re
import sys
from collections import defaultdict
from statistics import mean, stdev

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from markdown import table  # noqa: E402

RESULTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "results")
STUDENT = {1: 12.71, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262}
RATES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)


def read(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def cells(pattern):
    """Names of the cells that were run."""
    names = (os.path.basename(path)[:-4] for path in glob.glob(os.path.join(RESULTS, "*.csv")))
    return sorted(name for name in names if re.fullmatch(pattern, name) and not name.endswith("_tuning"))


def runs(cell):
    """Rows of each method by seed."""
    found = defaultdict(dict)
    for row in read(os.path.join(RESULTS, cell + ".csv")):
        found[row["name"]][int(row["seed"])] = row
    return found


def rates():
    return {(row["cell"], row["method"]): float(row["rate"]) for row in read(os.path.join(RESULTS, "rates.csv"))}


def accuracy(row, column="accuracy"):
    """In percent; None if the run diverged or did not come so far."""
    diverged = column == "accuracy" and row["diverged"] == "1"
    return 100 * float(row[column]) if row[column] and not diverged else None


def spread(values):
    """Mean and half of the 95 % interval."""
    half = STUDENT[len(values) - 1] * stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return mean(values), half


def column(of, name="accuracy"):
    """The seeds' mean of a method's column, or why there is none."""
    values = [accuracy(row, name) for row in of.values()]
    if None in values:
        return f"{values.count(None)} of {len(values)} diverged" if name == "accuracy" else "–"
    return f"{mean(values):.1f}"


def against(of, other):
    """Difference of two methods' accuracies in points, with its interval."""
    pairs = [(accuracy(row), accuracy(other[seed])) for seed, row in of.items() if seed in other]
    if not pairs or any(None in pair for pair in pairs):
        return "–"
    middle, half = spread([a - b for a, b in pairs])
    return f"{middle:+.1f} ± {half:.1f}"


def rate(value):
    """A tuned rate, marked where it is the least or the largest of the grid."""
    return f"{value:g}" + ("*" if value in (RATES[0], RATES[-1]) else "")


def traffic(row, rounds_clients):
    return f"{float(row) / rounds_clients / 1e3:.0f}"


def main_table(cell):
    found, tuned = runs(cell), rates()
    first = next(iter(found["fedavg"].values()))
    budgets = [name for name in first if name.startswith("accuracy_at_")]
    cohort = 100 if "_1000_" in cell else 10
    print(f"**{cell}**\n")
    table(["method", "rate", "kB up, client and round", "kB down", *(b[12:].replace("_", " ") for b in budgets),
           "100 rounds", "− fedlora", "− fedavg"],
          ([name, rate(tuned[cell, name]),
            traffic(mean(float(r["uplink_bytes"]) for r in of.values()), 100 * cohort),
            traffic(mean(float(r["downlink_bytes"]) for r in of.values()), 100 * cohort),
            *(column(of, b) for b in budgets), column(of), against(of, found["fedlora"]),
            against(of, found["fedavg"])] for name, of in found.items()))


def restart_table():
    tuned = rates()
    plain = runs("iid_100_rank_4") if cells("iid_100_rank_4") else {}
    rows = []
    for cell in cells("restart_.*"):
        for name, of in runs(cell).items():
            base = plain.get(name, {})
            rows.append([cell[8:].replace("_", " "), name, rate(tuned[cell, name]), column(of), against(of, base),
                         against(of, plain.get("fedlora", {}))])
    print("**What a restart loses** (iid, 100 clients, rank 4)\n")
    table(["changed", "method", "rate", "100 rounds", "− the same unchanged", "− fedlora unchanged"], rows)


def tried(found, tuned, cell):
    """FedLoRU's rate, and the next lower one if a run diverged at it."""
    if "fedloru_lower" not in found:
        return rate(tuned[cell, "fedloru"])
    return f"{rate(tuned[cell, 'fedloru'])} ({column(found['fedloru'])}), {rate(tuned[cell, 'fedloru_lower'])}"


def clients_table():
    tuned = rates()
    rows = []
    for cell in sorted(cells(r"clients_\d+_cohort_\d+"), key=lambda c: [int(x) for x in re.findall(r"\d+", c)]):
        found = runs(cell)
        clients, cohort = (int(x) for x in re.findall(r"\d+", cell))
        budget = next(name for name in next(iter(found["fedavg"].values())) if name.startswith("accuracy_at_"))
        average, loru = found["fedavg"], found.get("fedloru_lower", found["fedloru"])
        equal = {seed: {**row, "accuracy": row[budget]} for seed, row in average.items()}
        rows.append([str(clients), f"{100 * cohort / clients:g} %", rate(tuned[cell, "fedavg"]),
                     tried(found, tuned, cell), column(average), column(loru), against(loru, average),
                     against(loru, equal)])
    print("**Many clients** (60,000 images in all, iid, 50 rounds, rank 16)\n")
    table(["clients", "participation", "rate of fedavg", "of fedloru", "fedavg", "fedloru",
           "difference at equal rounds", "at equal uplink"], rows)


if __name__ == "__main__":
    for cell in cells("(iid|dirichlet)_.*"):
        main_table(cell)
    restart_table()
    clients_table()
