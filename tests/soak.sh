#!/usr/bin/env bash
# Does memory grow with the rounds? Runs FROM rounds of 100 of 100 clients, and ROUNDS, and compares the most memory that each
# needed: at most 1 % more. That is at their ends, when the files are written, so that what has piled up counts. On one thread,
# since several take and give memory back in an order of their own, and at fixed addresses, without which equal runs differ by up
# to 2 %. Where these can't be had the least of three runs counts.
# One closing line; exit 0 or 1.
# usage: soak.sh FEDERATE [ROUNDS [FROM]]     default: 2000 rounds, and 100
set -euo pipefail

federate=$(realpath "$1")
rounds=${2:-2000} from=${3:-100}
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

fixed=(setarch -R) repeats=1
"${fixed[@]}" true 2>/dev/null || fixed=() repeats=3

# peak ROUNDS: the most resident bytes of a run.
peak() {
  for ((i = 0; i < repeats; ++i)); do peak_of_run "$1"; done | sort -n | head -n 1
}

# peak_of_run ROUNDS
peak_of_run() {
  rm -rf "${out:?}/$1"
  "${fixed[@]}" "$federate" "$(dirname "$0")/../examples/federations/digits.toml" --quiet --out "$out/$1" --threads 1 \
    --set federation.clients=100 --set federation.cohort=100 --set federation.rounds="$1" --set federation.eval_every=10 \
    --set client.epochs=1 --set algorithm.tau=10
  python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["peak_rss_bytes"])' "$out/$1/summary.json"
}

before=$(peak "$from")
after=$(peak "$rounds")
growth=$(awk -v a="$after" -v b="$before" 'BEGIN {printf "%.2f", 100 * (a / b - 1)}')
line="at most $before bytes in $from rounds, $after in $rounds: $growth % more"
if awk -v g="$growth" 'BEGIN {exit !(g <= 1)}'; then echo "soak: $line"; else
  echo "soak: failed: $line"
  exit 1
fi
