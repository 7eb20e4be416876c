#!/usr/bin/env bash
# Do time and memory of a round grow with the clients that are registered? Runs examples/federations/million.toml with 10^3
# and with 10^6 clients in turn, and compares the medians of `seconds` over its five rounds and the peaks of memory
# (summary.json: peak_rss_bytes). Exit 0 if both are at most 1.1 times as large with 10^6, else 1. It is a timing: run it by
# hand on an idle machine, from anywhere, with the data set where the program finds it. PAIRS runs of each (default 1).
#
#   tests/scale/million.sh [build/release/bin/federate]
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
federate=${1:-$root/build/release/bin/federate}
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
for ((pair = 1; pair <= ${PAIRS:-1}; ++pair)); do
  for clients in 1000 1000000; do
    "$federate" "$root/examples/federations/million.toml" --quiet --set "federation.clients=$clients" \
      --out "$out/$clients-$pair"
  done
done
python3 - "$out" <<'PYTHON'
import csv, json, statistics, sys
from pathlib import Path

seconds, bytes_ = {}, {}
for run in sorted(Path(sys.argv[1]).iterdir()):
    clients = int(run.name.split("-")[0])
    with open(run / "rounds.csv", encoding="utf-8") as file:
        seconds.setdefault(clients, []).extend(float(row["seconds"]) for row in csv.DictReader(file))
    bytes_.setdefault(clients, []).append(json.loads((run / "summary.json").read_text())["peak_rss_bytes"])
time = {clients: statistics.median(all_) for clients, all_ in seconds.items()}
memory = {clients: statistics.median(all_) for clients, all_ in bytes_.items()}
few, many = 1000, 1000000
good = time[many] <= 1.1 * time[few] and memory[many] <= 1.1 * memory[few]
print(f"million: {'passed' if good else 'FAILED'}: a round with 10^6 clients {time[many]:.3f} s, with 10^3 {time[few]:.3f} s "
      f"({time[many] / time[few]:.3f}); {memory[many] / 1e6:.1f} MB, {memory[few] / 1e6:.1f} MB "
      f"({memory[many] / memory[few]:.3f}); at most 1.1")
sys.exit(not good)
PYTHON
