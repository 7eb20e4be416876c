#!/usr/bin/env bash
# Does memory grow with the rounds? Runs ROUNDS rounds of 100 of 100 clients and compares the most resident memory seen up to the
# last round with that up to round 100: at most 1 % more. What the run writes at its end does not count.
# Both are of one process, since equal processes differ by up to 2 % in what they have mapped of their libraries, and from
# smaps_rollup, since the peak in status is off by up to 128 kB a processor. The allocator gives every large block back at once:
# by default it keeps some, for how long goes by chance. One thread, since several take and give memory back in an order of their
# own.
# One closing line; exit 0 or 1, or 77 where the kernel has no smaps_rollup.
# usage: soak.sh FEDERATE [ROUNDS]     default: 2000 rounds
set -euo pipefail

if [[ ! -r /proc/self/smaps_rollup ]]; then
  echo "soak: skipped: no /proc/self/smaps_rollup"
  exit 77
fi

federate=$(realpath "$1")
rounds=${2:-2000} from=100
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
export MALLOC_MMAP_THRESHOLD_=16384 MALLOC_TRIM_THRESHOLD_=65536 MALLOC_TOP_PAD_=0

"$federate" "$(dirname "$0")/../examples/federations/digits.toml" --quiet --out "$out/run" --threads 1 \
  --set federation.clients=100 --set federation.cohort=100 --set federation.rounds="$rounds" --set federation.eval_every=10 \
  --set client.epochs=1 --set algorithm.tau=10 &
run=$!

# Kilobytes: the most seen within the first rounds, and within all but the last.
early=0 late=0
while resident=$(awk '$1 == "Rss:" {print $2}' "/proc/$run/smaps_rollup" 2>/dev/null) && [[ -n $resident ]]; do
  finished=$(wc -l 2>/dev/null <"$out/run/rounds.csv" || echo 1)
  finished=$((finished - 1))  # without the heading
  if ((finished > 0 && finished <= from && resident > early)); then early=$resident; fi
  if ((finished > from && finished < rounds && resident > late)); then late=$resident; fi
  sleep 0.01
done
wait "$run"

if ((early == 0 || late == 0)); then
  echo "soak: failed: expected looks before and after round $from, got $early and $late kB"
  exit 1
fi
growth=$(awk -v a="$late" -v b="$early" 'BEGIN {printf "%.2f", 100 * (a / b - 1)}')
line="at most $early kB in $from rounds, $late in $rounds: $growth % more"
if awk -v g="$growth" 'BEGIN {exit !(g <= 1)}'; then echo "soak: $line"; else
  echo "soak: failed: $line"
  exit 1
fi
