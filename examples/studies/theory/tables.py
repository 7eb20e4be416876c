#!/usr/bin/env python3
"""The tables of docs/theory.md from results/: prints them as Markdown.

Unit: a client within a seed. Intervals: 95 %, by a bootstrap of clusters (seeds are drawn, then clients within each),
2,000 times. With few seeds they are too short, so bold asks for more: there are several seeds, the interval leaves out
0, and so does Student's t over the seeds' means. An equals sign: the interval lies within 2 % of 0, no effect.
"""
import csv
import glob
import math
import os
import random
import re
import sys
from collections import defaultdict
from statistics import fmean as mean

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from cells import spread  # noqa: E402
from markdown import table  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
PARAMETERS = {"logistic": 7850, "mlp": 269322, "cnn": 1663370}
MODELS = (*PARAMETERS, "resnet10")
REPEATS = 2000


def read(pattern):
    """(part of the name that the star stands for and the seed, rows) of each result."""
    for path in sorted(glob.glob(os.path.join(HERE, "results", pattern))):
        name, seed = re.fullmatch(r"(.*)_(\d+)\.csv", os.path.basename(path)).groups()
        with open(path, newline="") as file:
            yield name, int(seed), list(csv.DictReader(file))


def interval(clusters):
    """Mean of all values and its 95 % interval; clusters: lists of values, one a seed."""
    draw = random.Random(1)
    means = []
    for _ in range(REPEATS):
        chosen = draw.choices(clusters, k=len(clusters))
        means.append(mean(mean(draw.choices(c, k=len(c))) for c in chosen))
    means.sort()
    return mean(map(mean, clusters)), means[int(0.025 * REPEATS)], means[int(0.975 * REPEATS) - 1]


def percent(x):
    return f"{100 * math.expm1(x):+.1f}"


def surely_not_zero(clusters, low, high):
    """Whether both the bootstrap and Student's t over the seeds leave out 0."""
    middle, half = spread([mean(c) for c in clusters])
    return (low > 0 and middle > half) or (high < 0 and middle < -half)


def shown(clusters):
    middle, low, high = interval(clusters)
    text = percent(middle)
    if surely_not_zero(clusters, low, high):
        text = f"**{text}**"
    elif low > math.log(0.98) and high < math.log(1.02):
        text = f"= {text}"
    return f"{text} ({percent(low)} to {percent(high)})"


def ratios(pattern, column):
    """log(client / server) by (name, round, samples a client): a list a seed."""
    found = defaultdict(lambda: defaultdict(list))
    for name, seed, rows in read(pattern):
        server = None
        for row in rows:
            if row["who"] == "server":
                server = float(row[column])
            elif float(row[column]) > 0 and server > 0:
                found[name.split("_", 1)[1], int(row["round"]), int(row["samples"])][seed].append(math.log(float(row[column]) / server))
    return {where: list(seeds.values()) for where, seeds in found.items()}


def compared(pattern, column, by):
    """For each model a table of client against server in percent: rows are samples or partitions, columns rounds."""
    found = ratios(pattern, column)
    row_of = (lambda name, n: n) if by == "samples" else (lambda name, n: name.split("_", 1)[1].replace("_", " "))
    for model in sorted({name.split("_")[0] for name, _, _ in found}, key=MODELS.index):
        cells = {(row_of(name, n), at): clusters for (name, at, n), clusters in found.items()
                 if name.split("_")[0] == model}
        rounds = sorted({at for _, at in cells})
        rows = []
        for row in sorted({row for row, _ in cells}):
            seeds = [str(len(cells[row, at])) for at in rounds if (row, at) in cells]
            rows.append([row, *(shown(cells[row, at]) if (row, at) in cells else "–" for at in rounds),
                         seeds[0] if len(set(seeds)) == 1 else ", ".join(seeds)])
        print(f"**{model}**\n")
        table([by, *(f"round {at}" for at in rounds), "seeds"], rows)


def sizes():
    print("## C1: the stable rank of a client's Hessian against the server's, %\n")
    compared("size*_*.csv", "stable_rank", "samples")
    print("## C3: the same at 50 samples, by partition\n")
    compared("partition_*.csv", "stable_rank", "partition")
    print("## C5: participation of the gradient's energy, client against server, %\n")
    compared("size*_*.csv", "participation", "samples")
    print("## C5: share of the gradient's energy in the top C, client against server, %\n")
    compared("size*_*.csv", "top", "samples")


def predictions():
    """C2: E‖H_n‖² = F² + V (N − n) / (n (N − 1)) with V measured at n = 1, λ(n) = λ + s²/λ for Wigner noise.

    The server is the largest union that all seeds with these n have. Means over seeds, of logarithms where they are
    ratios; in brackets the least and the most of them.
    """
    print("## C2: the stable rank that random matrix theory predicts\n")
    measured = defaultdict(dict)  # by model and round: of each seed the rows of the servers and of the clients, by n
    for name, seed, rows in read("size_*.csv"):
        model = name.split("_")[1]
        for row in rows if model in PARAMETERS else []:
            servers, clients = measured[model, int(row["round"])].setdefault(seed, ({}, defaultdict(list)))
            if row["who"] == "server":
                servers[int(row["samples"])] = row
            else:
                clients[int(row["samples"])].append(row)
    rows = []
    for (model, at), seeds in sorted(measured.items()):
        seeds = {seed: of for seed, of in seeds.items() if 1 in of[1]}
        for n in sorted({n for _, clients in seeds.values() for n in clients}):
            having = [of for of in seeds.values() if n in of[1]]
            whole = max(set.intersection(*(set(servers) for servers, _ in having)))
            found = [prediction(servers[whole], clients, n, PARAMETERS[model]) for servers, clients in having]
            predicted, own, norm, norm_predicted, more, outliers = zip(*found)
            rows.append((model, at, n, len(found), ranged(predicted), ranged(own), f"{mean(norm):.2f}",
                         f"{mean(norm_predicted):.2f}", f"{mean(outliers) / mean(more):.2f}" if mean(more) > 0 else ""))
    table(("model", "round", "samples", "seeds", "predicted, %", "measured, %", "norm against the server's",
           "predicted", "share of the excess in outliers"), rows)


def prediction(server, clients, n, parameters):
    """Logarithms of the stable rank's ratio to the server's, predicted and measured; the norm's ratio, measured and
    predicted; the excess of ‖H_n‖², and that in outliers."""
    whole, energy, top = int(server["samples"]), float(server["frobenius2"]), float(server["norm"])
    noise = (mean(float(r["frobenius2"]) for r in clients[1]) - energy) * (whole - n) / (n * (whole - 1))
    norm, base, own = top + noise / parameters / top, float(server["stable_rank"]), clients[n]
    return (math.log((energy + noise) / norm**2 / base), mean(math.log(float(r["stable_rank"]) / base) for r in own),
            mean(float(r["norm"]) for r in own) / top, norm / top, mean(float(r["frobenius2"]) for r in own) - energy,
            mean(float(r["frobenius2"]) * float(r["outlier_energy"]) for r in own) -
            energy * float(server["outlier_energy"]))


def ranged(values):
    text = f"{100 * math.expm1(mean(values)):+.0f}"
    return text if len(values) == 1 else \
        f"{text} ({100 * math.expm1(min(values)):+.0f} to {100 * math.expm1(max(values)):+.0f})"


def means(pattern, keys, columns):
    """Means over seeds of some columns, by the values of others, and the seeds: of those that did not diverge."""
    found = defaultdict(lambda: defaultdict(list))
    for _, _, rows in read(pattern):
        for row in rows:
            for column in columns:
                if row[column]:
                    found[tuple(row[k] for k in keys)][column].append(float(row[column]))
    return {where: ({c: mean(v) for c, v in values.items()}, len(values[columns[0]])) for where, values in found.items()}


def separate_models():
    """C4: a model of its own on each number of samples; the stable rank after as many steps and as many epochs."""
    print("## C4: the stable rank of models of their own\n")
    found = means("training_*.csv", ("samples", "matched", "at"), ("stable_rank",))
    points = sorted({where[1:] for where in found if where[2] != "0"}, key=lambda p: (p[0] != "steps", int(p[1])))
    rows = []
    for samples in sorted({where[0] for where in found}, key=int):
        cells = [found.get((samples, *point)) for point in points]
        rows.append([f"{int(samples):,}", *(f"{cell[0]['stable_rank']:.1f}" if cell else "–" for cell in cells),
                     max(cell[1] for cell in cells if cell)])
    table(["samples", *(f"{at} {matched if at != '1' else matched[:-1]}" for matched, at in points), "seeds"], rows)


def likeness():
    """C6: mean cosine over pairs of clients, of what is whole and of what is cut."""
    print("## C6: how alike clients' gradients and turns are\n")
    found = means("alignment_*.csv", ("partition", "round", "of", "cut", "rank"), ("pairs", "halves", "energy", "with_server"))
    shown = (("full", "0"), ("truncated", "1"), ("truncated", "4"), ("truncated", "16"), ("random_common", "4"),
             ("random_own", "4"), ("top_entries", "4"), ("server_space", "4"))
    rows, more = [], []
    for where in sorted({where[:3] for where in found}, key=lambda w: (w[0] != "iid", int(w[1]), w[2])):
        of = {cut: found[(*where, *cut)] for cut in shown}
        seeds = of["full", "0"][1]
        rows.append([*where, *(f"{of[cut][0]['pairs']:.3f}" for cut in shown), seeds])
        more.append([*where, *(f"{of[cut][0][what]:.3f}" for cut, what in
                               ((("full", "0"), "halves"), (("truncated", "4"), "halves"), (("truncated", "1"), "energy"),
                                (("truncated", "4"), "energy"), (("random_common", "4"), "energy"),
                                (("full", "0"), "with_server"), (("truncated", "4"), "with_server"))), seeds])
    table(["partition", "round", "of", "full", "truncated r = 1", "r = 4", "r = 16", "random, common r = 4",
           "random, own", "top entries", "server's", "seeds"], rows)
    table(["partition", "round", "of", "two halves of one client, full", "truncated r = 4", "energy kept, truncated r = 1",
           "r = 4", "random, common r = 4", "mean with the mean of all, full", "truncated r = 4", "seeds"], more)


def projections():
    """Causality: dense turns, of which only a part is sent."""
    print("## Projected turns\n")
    found = means("projections_*.csv", ("partition", "projection", "rank"),
                  ("test_accuracy", "accuracy_gap", "loss_gap", "norm", "stable_rank"))
    names = {"none": "all", "top": "top {}", "random": "random {}", "off_hessian": "off Hessian, {}"}
    rows = []
    for where in sorted(found, key=lambda w: (w[0] != "iid", list(names).index(w[1]), -int(w[2]))):
        of, seeds = found[where]
        rows.append([where[0], names[where[1]].format(where[2]), f"{100 * of['test_accuracy']:.1f}",
                     f"{100 * of['accuracy_gap']:.1f}", f"{of['loss_gap']:.3f}", f"{of['norm']:.1f}",
                     f"{of['stable_rank']:.1f}", seeds])
    table(["partition", "what is sent", "test accuracy, %", "gap", "loss gap", "λ₁", "stable rank", "seeds"], rows)


if __name__ == "__main__":
    sizes()
    predictions()
    separate_models()
    likeness()
    projections()
