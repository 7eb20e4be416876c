#!/usr/bin/env python3
"""The tables of docs/merges.md from results/: prints them as Markdown."""
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from cells import Study, against, budgets, column, settled, traffic  # noqa: E402
from markdown import table  # noqa: E402

STUDY = Study(__file__)


def with_early(cell):
    """A cell's runs; the accuracy of fedavg's first rounds from runs that evaluated each of them."""
    found = STUDY.runs(cell)
    for early in STUDY.cells(f"early_{cell.replace('rank_32', 'rank_4')}"):
        for seed, row in STUDY.runs(early)["fedavg"].items():
            own = found["fedavg"][seed]
            own.update({name: own[name] or row.get(name, "") for name, _ in budgets(found)})
    return found


def at_equal_uplink(found, of):
    """A method's end against fedavg where that has sent as much."""
    sent = max(float(row["uplink_bytes"]) for row in of.values())
    reached = [name for name, _ in budgets(found) if 1e6 * float(name.split("_")[2]) >= sent]
    if not reached:
        return "–"
    return against(of, {seed: {**row, "accuracy": row[reached[0]]} for seed, row in found["fedavg"].items()})


def main_table(cell):
    found = with_early(cell)
    cohort = 100 if "_1000_" in cell else 10
    print(f"**{cell}**\n")
    table(["method", "rate", "kB up, client and round", "kB down", *(head for _, head in budgets(found)),
           "100 rounds", "− fedlora", "− fedavg", "− fedavg at equal uplink"],
          ([method, STUDY.rate(cell, method), traffic(of, "uplink_bytes", cohort),
            traffic(of, "downlink_bytes", cohort),
            *(column(of, name) for name, _ in budgets(found)), column(of), against(of, settled(found, "fedlora")),
            against(of, settled(found, "fedavg")), at_equal_uplink(found, of)] for method, of in found.items()))


def pairs_table():
    """The differences that the page's answers are about, over all cells."""
    cells = sorted(STUDY.cells("(iid|dirichlet)_.*"), key=lambda cell: (int(cell.split("_")[3]), int(cell.split("_")[1]),
                                                                       not cell.startswith("iid")))
    found = {cell: with_early(cell) for cell in cells}
    pairs = (("fedloru", "fedlora"), ("fedloru", "fedloru_keep"), ("fedloru_keep", "fedlora"), ("fedmud", "fedlora"),
             ("fedmud_10", "fedlora"), ("flexlora", "fedlora"), ("fedmomentum", "fedlora"), ("fedmud", "fedavg"),
             ("fedmud_10", "fedavg"))
    print("**Differences by cell**\n")
    table(["difference", *(f"{cell.split('_')[1]} {cell.split('_')[0]}, r = {cell.split('_')[3]}" for cell in cells)],
          ([f"{a} − {b}", *(against(settled(found[cell], a), settled(found[cell], b)) for cell in cells)]
           for a, b in pairs))


def restart_table():
    plain = STUDY.runs("iid_100_rank_4")
    rows = []
    for cell in STUDY.cells("restart_.*"):
        changed = STUDY.runs(cell)
        for name, of in changed.items():
            base = settled(plain, name.removesuffix("_lower"))
            same = "" if name == "fedlora" else against(of, settled(changed, "fedlora"))
            rows.append([cell[8:].replace("_", " "), name, STUDY.rate(cell, name), column(of), against(of, base),
                         against(of, settled(plain, "fedlora")), same])
    print("**What changes merges with new factors** (iid, 100 clients, rank 4)\n")
    table(["changed", "method", "rate", "100 rounds", "− the same unchanged", "− fedlora unchanged",
           "− fedlora with the same change"], rows)


def tried(found, cell):
    """FedLoRU's rate, and the next lower one if a run diverged at it."""
    if "fedloru_lower" not in found:
        return STUDY.rate(cell, "fedloru")
    return f"{STUDY.rate(cell, 'fedloru')} ({column(found['fedloru'])}), {STUDY.rate(cell, 'fedloru_lower')}"


def clients_table():
    rows = []
    for cell in sorted(STUDY.cells(r"clients_\d+_cohort_\d+"), key=lambda c: [int(x) for x in re.findall(r"\d+", c)]):
        found = STUDY.runs(cell)
        clients, cohort = (int(x) for x in re.findall(r"\d+", cell))
        (budget, _), = budgets(found)
        average, loru = found["fedavg"], settled(found, "fedloru")
        equal = {seed: {**row, "accuracy": row[budget]} for seed, row in average.items()}
        rows.append([str(clients), f"{100 * cohort / clients:g} %", STUDY.rate(cell, "fedavg"),
                     tried(found, cell), column(average), column(loru), against(loru, average),
                     against(loru, equal)])
    print("**Many clients** (60,000 images in all, iid, 50 rounds, rank 16)\n")
    table(["clients", "participation", "rate of fedavg", "of fedloru", "fedavg", "fedloru",
           "difference at equal rounds", "at equal uplink"], rows)


if __name__ == "__main__":
    pairs_table()
    for cell in STUDY.cells("(iid|dirichlet)_.*"):
        main_table(cell)
    restart_table()
    clients_table()
