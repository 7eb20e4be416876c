#!/usr/bin/env python3
"""Prints the tables of docs/study.md from results/."""
import csv
import json
import pathlib
import statistics
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import markdown  # noqa: E402

RESULTS = pathlib.Path(__file__).parent / "results"
KINDS = ("iid", "dirichlet", "shards")


def read(cell):
    """The runs of a cell by name, in the order of the file; none if it was not run."""
    runs = {}
    path = RESULTS / f"{cell}.csv"
    if path.exists():
        with path.open() as file:
            for row in csv.DictReader(file):
                runs.setdefault(row["name"], []).append(row)
    return runs


def stopped(cell, row):
    """Whether a run diverged: it has fewer rounds than it was to have."""
    return int(row["rounds"]) < (20 if cell.startswith("cnn") or cell.endswith("_50") else 100)


def value(cell, name, column, scale=100.0, digits=1):
    """Mean ± sample deviation over the seeds, and how many of them diverged."""
    rows = read(cell).get(name, [])
    diverged = sum(stopped(cell, row) for row in rows)
    kept = [scale * float(row[column]) for row in rows if row[column] and not stopped(cell, row)]
    mark = f" ({diverged} diverged)" if diverged else ""
    if not kept:
        return "diverged" if diverged else ""
    deviation = f" ± {statistics.stdev(kept):.{digits}f}" if len(kept) > 1 else ""
    return f"{statistics.mean(kept):.{digits}f}{deviation}{mark}"


def table(title, header, rows):
    print(f"{title}\n")
    markdown.table(header, rows)


def names(cells):
    return list(dict.fromkeys(name for cell in cells for name in read(cell)))


def turn_bytes(name, cell="mlp_iid_10"):
    """Uplink bytes a client and round."""
    rows = [row for row in read(cell)[name] if not stopped(cell, row)] or read(cell)[name]
    return f"{statistics.mean(float(r['uplink_bytes']) / int(r['rounds']) / 10 for r in rows) / 1000:.0f}"


cells = [f"mlp_{kind}_{part}" for part in (10, 50) for kind in KINDS]
table("mlp, accuracy at the end (%)",
      ["run", "kB up"] + [f"{k}, {p} %" for p in (10, 50) for k in KINDS],
      [[f"`{n}`", turn_bytes(n)] + [value(c, n, "accuracy") for c in cells] for n in names(cells)])

for kind in KINDS:
    cell = f"mlp_{kind}_10"
    table(f"mlp, {kind}, 10 %: accuracy (%) at an uplink of all clients together of",
          ["run", "5 MB", "20 MB", "60 MB", "end"],
          [[f"`{n}`"] + [value(cell, n, f"accuracy_at_{mb}_MB") for mb in (5, 20, 60)] +
           [value(cell, n, "accuracy")] for n in names([cell])])

cells = [f"cnn_{kind}_10" for kind in KINDS]
table("cnn, 10 %: accuracy (%) at 5, 20, 60 MB and at the end",
      ["run"] + [f"{k}, {at}" for k in KINDS for at in ("5", "20", "60", "end")],
      [[f"`{n}`"] + [value(c, n, column) for c in cells for column in
                     ("accuracy_at_5_MB", "accuracy_at_20_MB", "accuracy_at_60_MB", "accuracy")]
       for n in names(cells)])

cells = [f"merges_{kind}_{rank}" for rank in ("rank_16", "rank_4") for kind in KINDS]
table("Merges, mlp, 10 %: accuracy at the end (%)",
      ["merge and tau"] + [f"{k}, r = {r}" for r in (16, 4) for k in KINDS],
      [[n.replace("_", ", ")] + [value(c, n, "accuracy") for c in cells] for n in names(cells)])

cells = [f"merges_{kind}_{rank}_long" for rank in ("rank_16", "rank_4") for kind in KINDS]
table("Merges, mlp, 10 %, two epochs a turn, learning rate 0.05: accuracy at the end (%)",
      ["merge and tau"] + [f"{k}, r = {r}" for r in (16, 4) for k in KINDS],
      [[n.replace("_", ", ")] + [value(c, n, "accuracy") for c in cells] for n in names(cells)])

cells = [f"codecs_{kind}" for kind in KINDS]
table("Codecs on the uplink, mlp, 10 %: accuracy (%) at 5, 20, 60 MB and at the end",
      ["run", "kB up"] + [f"{k}, {at}" for k in KINDS for at in ("5", "20", "60", "end")],
      [[f"`{n}`", turn_bytes(n, cells[0])] + [value(c, n, column) for c in cells for column in
                                              ("accuracy_at_5_MB", "accuracy_at_20_MB", "accuracy_at_60_MB", "accuracy")]
       for n in names(cells)])

cells = [f"cut_{kind}" for kind in KINDS]
table("Clients of ranks 4, 8 and 16 that get the leading directions, mlp, 10 %: accuracy at the end (%)",
      ["run", "kB up", *KINDS],
      [[f"`{n}`", turn_bytes(n, cells[0])] + [value(c, n, "accuracy") for c in cells] for n in names(cells)])

cells = [f"mlp_{kind}_{part}" for part in (10, 50) for kind in KINDS]
table("Personal accuracy (%), mlp",
      ["run"] + [f"{k}, {p} %" for p in (10, 50) for k in KINDS],
      [[f"`{n}`"] + [value(c, n, "personal_accuracy") for c in cells]
       for n in ("local", "local_low_rank", "pfedloru", "fedsa_lora", "fedpara_personal",
                 "fedloru", "fedlora", "fedavg")])

rows = []
for cell in cells:
    runs = [json.loads((RESULTS / f"{cell}_pfedloru_{row['seed']}.json").read_text())
            for row in read(cell).get("pfedloru", []) if not stopped(cell, row)]
    for layer in ("fc1", "fc2"):
        updates = [run["personal_updates"][layer] for run in runs]
        if updates:
            rows.append([cell, layer] + [f"{statistics.mean(u[key] for u in updates):.3f}" for key in
                                         ("global_norm", "personal_norm", "cosine")])
table("pfedloru: norms of the two updates and the cosine between them", ["cell", "layer", "shared", "own", "cosine"], rows)
