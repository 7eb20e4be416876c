"""What cells.sh keeps of a study: runs by cell, method and seed, and their differences.

Differences are paired by seed; intervals are 95 % of Student's t over the seeds.
"""
import csv
import glob
import math
import os
import re
from collections import defaultdict
from statistics import mean, stdev

STUDENT = {1: 12.71, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262}


def read(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


class Study:
    """The folder results/ beside a script."""

    def __init__(self, script):
        self.results = os.path.join(os.path.dirname(os.path.abspath(script)), "results")
        path = os.path.join(self.results, "rates.csv")
        found = read(path) if os.path.exists(path) else []
        self.tuned = {(row["cell"], row["method"]): float(row["rate"]) for row in found}

    def cells(self, pattern):
        """Names of the cells that were run."""
        names = (os.path.basename(path)[:-4] for path in glob.glob(os.path.join(self.results, "*.csv")))
        return sorted(name for name in names if re.fullmatch(pattern, name) and not name.endswith("_tuning"))

    def runs(self, cell):
        """Rows of each method by seed."""
        found = defaultdict(dict)
        for row in read(os.path.join(self.results, cell + ".csv")):
            found[row["name"]][int(row["seed"])] = row
        return found

    def rate(self, cell, method):
        """The rate that a method was run with, marked where it was the least or the largest of those tried."""
        value = self.tuned[cell, method]
        path = os.path.join(self.results, f"{cell}_{method.removesuffix('_lower')}_tuning.csv")
        tried = [float(row["optimizer.learning_rate"]) for row in read(path)]
        return f"{value:g}" + ("*" if value in (tried[0], tried[-1]) else "")


def accuracy(row, column="accuracy"):
    """In percent; None if the run diverged before or did not come so far."""
    ended = column == "accuracy" or (column.startswith("accuracy_at_") and
                                     1e6 * float(column.split("_")[2]) >= float(row["uplink_bytes"]))
    return 100 * float(row[column]) if row[column] and not (ended and row["diverged"] == "1") else None


def spread(values):
    """Mean and half of the 95 % interval."""
    half = STUDENT[len(values) - 1] * stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return mean(values), half


def column(of, name="accuracy"):
    """The seeds' mean of a method's column, or why there is none."""
    values = [accuracy(row, name) for row in of.values()]
    if None in values:
        diverged = sum(value is None and row["diverged"] == "1" for value, row in zip(values, of.values()))
        return f"{diverged} of {len(values)} diverged" if diverged else "–"
    return f"{mean(values):.1f}"


def against(of, other):
    """Difference of two methods' accuracies in points, with its interval; none to itself."""
    if of is other:
        return "–"
    pairs = [(accuracy(row), accuracy(other[seed])) for seed, row in of.items() if seed in other]
    if not pairs or any(None in pair for pair in pairs):
        return "–"
    middle, half = spread([a - b for a, b in pairs])
    return f"{middle:+.1f} ± {half:.1f}"


def traffic(of, column, cohort):
    """kB that a client sends or gets in a round."""
    return f"{mean(float(row[column]) / int(row['rounds']) for row in of.values()) / cohort / 1e3:.0f}"


def settled(found, method):
    """A method's runs at its tuned rate, or at the next lower one if a run diverged at it; none if it was not run."""
    return found.get(method + "_lower", found.get(method, {}))


def budgets(found):
    """Columns of the accuracy at an uplink, and their heads."""
    names = [name for name in next(iter(next(iter(found.values())).values())) if name.startswith("accuracy_at_")]
    return [(name, f"{float(name.split('_')[2]):,g} MB") for name in names]
