#!/usr/bin/env bash
# Does memory grow with the rounds? Runs ROUNDS rounds of 100 of 100 clients and compares the resident memory at the end with
# that from round FROM on: at most 1 % more. On one thread, since several take and give memory back in an order of their own.
# One closing line; exit 0 or 1.
# usage: soak.sh FEDERATE [ROUNDS [FROM]]     default: 2000 rounds, from round 100
set -euo pipefail

federate=$(realpath "$1")
rounds=${2:-2000} from=${3:-100}
out=$(mktemp -d)
trap 'kill "$run" 2>/dev/null || true; rm -rf "$out"' EXIT

"$federate" "$(dirname "$0")/../examples/federations/digits.toml" --quiet --out "$out" --threads 1 \
  --set federation.clients=100 --set federation.cohort=100 --set federation.rounds="$rounds" --set federation.eval_every=10 \
  --set client.epochs=1 --set algorithm.tau=10 &
run=$!

# Finished rounds and resident bytes, as often as can be.
reached() { { wc -l <"$out/rounds.csv"; } 2>/dev/null || echo 0; }
resident() { awk '/^VmRSS/ {print 1024 * $2}' "/proc/$run/status" 2>/dev/null; }

# A round takes and gives memory back, so that the highest of many moments is compared: of as many rounds from FROM on as at
# the end.
window=$(((rounds - from) / 2 < 100 ? (rounds - from) / 2 : 100))
before=0 after=0
while kill -0 "$run" 2>/dev/null; do
  now=$(resident) || now=
  round=$(($(reached) - 1))
  if [[ -n $now ]]; then
    ((round < from || round >= from + window || now <= before)) || before=$now
    ((round < rounds - window || round >= rounds || now <= after)) || after=$now
  fi
  sleep 0.01
done
wait "$run"
((before > 0 && after > 0)) || {
  echo "soak: failed: no measurement after round $from"
  exit 1
}
growth=$(awk -v a="$after" -v b="$before" 'BEGIN {printf "%.2f", 100 * (a / b - 1)}')
line="resident memory at most $before bytes from round $from on, $after at the end of $rounds rounds: $growth %"
if awk -v g="$growth" 'BEGIN {exit !(g <= 1)}'; then echo "soak: $line"; else
  echo "soak: failed: $line"
  exit 1
fi
