#!/usr/bin/env python3
"""The tables of docs/sentences.md from results/: prints them as Markdown."""
import os
import sys
from statistics import mean, stdev

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from cells import Study, accuracy, against, budgets, column, settled, traffic  # noqa: E402
from markdown import table  # noqa: E402

STUDY = Study(__file__)


def intents():
    print("**Banking77**\n")
    found = STUDY.runs("banking77") if STUDY.cells("banking77") else {}
    at = budgets(found) if found else []
    table(["method", "rate", "kB up, client and round", "kB down", *(head for _, head in at), "20 rounds",
           "− fedlora"],
          ([name, STUDY.rate("banking77", name), traffic(of, "uplink_bytes", 5), traffic(of, "downlink_bytes", 5),
            *(column(of, b) for b, _ in at), column(of), against(of, settled(found, "fedlora"))] for name, of in found.items()))


def personal():
    cell = "banking77_personal"
    print("**Banking77, models of the clients' own**\n")
    found = STUDY.runs(cell) if STUDY.cells(cell) else {}
    table(["method", "rate", "kB up, client and round", "shared model", "clients' own, on their own share of labels"],
          ([name, STUDY.rate(cell, name), traffic(of, "uplink_bytes", 5), column(of), column(of, "personal_accuracy")]
           for name, of in found.items()))


def skew():
    """Swing: standard deviation of a run's accuracies after each of the last rounds, in points, mean over seeds."""
    cell = "sst2_dirichlet"
    print("**SST-2, Dirichlet(0.3)**\n")
    found = STUDY.runs(cell) if STUDY.cells(cell) else {}
    at = budgets(found) if found else []
    rows = []
    for name, of in found.items():
        last = [[accuracy(row, b) for b, _ in at] for row in of.values()]
        swing = "–" if any(None in run for run in last) else f"{mean(map(stdev, last)):.1f}"
        rows.append([name, STUDY.rate(cell, name), column(of), against(of, settled(found, "fedlora")), swing])
    table(["method", "rate", "10 rounds", "− fedlora", "swing of the last six rounds"], rows)


if __name__ == "__main__":
    intents()
    personal()
    skew()
