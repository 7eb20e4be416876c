#!/usr/bin/env bash
# Does memory grow with the rounds? Runs ROUNDS rounds of 100 of 100 clients and compares the resident memory at the end with
# that after round FROM: at most 1 % more. One closing line; exit 0 or 1.
# usage: soak.sh FEDERATE [ROUNDS [FROM]]     default: 2000 rounds, from round 100
set -euo pipefail

federate=$(realpath "$1")
rounds=${2:-2000} from=${3:-100}
out=$(mktemp -d)
trap 'kill "$run" 2>/dev/null || true; rm -rf "$out"' EXIT

"$federate" "$(dirname "$0")/../examples/federations/digits.toml" --quiet --out "$out" --threads 2 \
  --set federation.clients=100 --set federation.cohort=100 --set federation.rounds="$rounds" --set federation.eval_every=10 \
  --set client.epochs=1 --set algorithm.tau=10 &
run=$!

# Finished rounds and resident bytes, as often as can be.
reached() { { wc -l <"$out/rounds.csv"; } 2>/dev/null || echo 0; }
resident() { awk '/^VmRSS/ {print 1024 * $2}' "/proc/$run/status" 2>/dev/null; }

before= after=
while kill -0 "$run" 2>/dev/null; do
  now=$(resident) || now=
  done_rounds=$(($(reached) - 1))
  if [[ -n $now ]] && ((done_rounds >= from)); then
    : "${before:=$now}"
    ((done_rounds < rounds)) && after=$now
  fi
  sleep 0.05
done
wait "$run"
[[ -n $before && -n $after ]] || {
  echo "soak: failed: no measurement after round $from"
  exit 1
}
growth=$(awk -v a="$after" -v b="$before" 'BEGIN {printf "%.2f", 100 * (a / b - 1)}')
line="resident memory $before bytes after round $from, $after at the end of $rounds rounds: $growth %"
if awk -v g="$growth" 'BEGIN {exit !(g <= 1)}'; then echo "soak: $line"; else
  echo "soak: failed: $line"
  exit 1
fi
