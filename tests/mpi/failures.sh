#!/usr/bin/env bash
# How a run over MPI processes ends when something goes wrong: one line from the program, its exit code, no process
# left behind.
#
#   failures.sh [FEDERATE [MPIRUN]]    default: build/release/bin/federate mpirun
#
# Prints what is not as expected and one closing line; exits 0 or 1.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

federate=${1:-build/release/bin/federate}
mpirun=${2:-mpirun}
"$mpirun" --version | grep -qE 'Open MPI|OpenRTE' || {
  echo "SKIPPED: failures: expected Open MPI, whose launcher it knows"
  exit 77
}
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
readonly digits=(examples/federations/digits.toml --quiet --out "$work/out")
checks=0 wrong=0

# expect NAME CODE LINE COMMAND...: the exit code, and the one line that begins with "federate:" (a pattern of grep -E).
expect() {
  local name=$1 code=$2 line=$3 got said
  shift 3
  checks=$((checks + 1))
  timeout 60 "$@" >"$work/said" 2>&1 </dev/null
  got=$?
  said=$(grep '^federate: ' "$work/said")
  if [[ $got != "$code" ]] || ! grep -qE "^federate: $line\$" <<<"$said" || [[ $(wc -l <<<"$said") != 1 ]]; then
    printf 'failures: %s: expected exit code %s and %s, got %s and %s\n' "$name" "$code" "$line" "$got" "$said"
    wrong=$((wrong + 1))
  fi
}

check() { # check NAME COMMAND...
  checks=$((checks + 1))
  "${@:2}" && return
  printf 'failures: %s\n' "$1"
  wrong=$((wrong + 1))
}

# The processes of federate that a launcher has started, the one of rank 0 first.
ranks_of() {
  local pid
  for pid in $(pgrep -P "$1"); do
    printf '%s %s\n' "$(tr '\0' '\n' <"/proc/$pid/environ" | sed -n 's/^OMPI_COMM_WORLD_RANK=//p')" "$pid"
  done | sort -n | cut -d' ' -f2
}

# begin ROUNDS ARGUMENT...: a run on three ranks in the background: launcher and pids.
begin() {
  rm -rf "$work/out"
  "$mpirun" -n 3 "$federate" "${digits[@]}" --executor mpi --set federation.rounds="$1" \
    --set federation.eval_every=0 "${@:2}" >"$work/said" 2>&1 </dev/null &
  launcher=$!
  for _ in $(seq 300); do
    [[ $(wc -l 2>/dev/null <"$work/out/rounds.csv") -gt 2 ]] && break
    sleep 0.1
  done
  mapfile -t pids < <(ranks_of "$launcher")
}

# ended SECONDS: all ranks end within that time.
ended() {
  for _ in $(seq $((10 * $1))); do
    ps -p "$(IFS=,; echo "${pids[*]}")" >/dev/null || return 0
    sleep 0.1
  done
  return 1
}

expect "a run that diverges" 1 'round [0-9]+, client [0-9]+: .*' \
  "$mpirun" -n 3 "$federate" "${digits[@]}" --executor mpi --set optimizer.learning_rate=1e9
expect "a value out of range" 2 '--set: client.batch: .*' \
  "$mpirun" -n 3 "$federate" "${digits[@]}" --executor mpi --set client.batch=0
expect "a value that the simulation refuses" 2 'federation: .*' \
  "$mpirun" -n 3 "$federate" "${digits[@]}" --executor mpi --set federation.min_updates=1000
expect "a folder that cannot be written" 2 '/dev/null/x: .*' \
  "$mpirun" -n 2 "$federate" examples/federations/digits.toml --quiet --executor mpi --out /dev/null/x
expect "ranks with other data" 2 'rank 1 on [^ ]+: expected loru .*, data [0-9a-f]+, got loru .*, data [0-9a-f]+' \
  "$mpirun" -n 1 "$federate" "${digits[@]}" --executor mpi \
  : -n 1 "$federate" "${digits[@]}" --executor mpi --set data.validation=0.1
expect "ranks with other configurations" 2 'rank 1 on [^ ]+: expected the configuration of rank 0, got another' \
  "$mpirun" -n 1 "$federate" "${digits[@]}" --executor mpi \
  : -n 1 "$federate" "${digits[@]}" --executor mpi --set client.batch=7
expect "a rank whose data cannot be read" 2 'rank 1 on [^ ]+: .*' \
  "$mpirun" -n 1 "$federate" "${digits[@]}" --executor mpi \
  : -n 1 "$federate" "${digits[@]}" --executor mpi --set data.name=idx --set data.dir=/nowhere
expect "four ranks without --executor mpi" 2 \
  "started with 4 ranks \\(OMPI_COMM_WORLD_SIZE\\) without --executor mpi: all would write $work/out" \
  "$mpirun" -n 4 "$federate" "${digits[@]}"
expect "ranks without --executor mpi" 2 \
  "started with 4 ranks \\(OMPI_COMM_WORLD_SIZE\\) without --executor mpi: all would write $work/out" \
  env OMPI_COMM_WORLD_SIZE=4 "$federate" "${digits[@]}"
expect "ranks without --executor mpi" 2 \
  "started with 4 ranks \\(PMI_SIZE\\) without --executor mpi: all would write $work/out" \
  env PMI_SIZE=4 "$federate" "${digits[@]}"
expect "ranks of a spectrum" 2 \
  "started with 4 ranks \\(PMI_SIZE\\) without --executor mpi: all would write $work/out" \
  env PMI_SIZE=4 "$federate" spectrum examples/federations/digits.toml --out "$work/out"
expect "the launcher of another MPI" 2 \
  '--executor mpi: 4 processes were started \(PMI_SIZE\), MPI sees 1: the launcher belongs to another MPI' \
  env PMI_SIZE=4 "$federate" "${digits[@]}" --executor mpi

# Killed in the warm-up, or in the rounds after it.
for warmup in 190 1; do
  setting=(--set federation.rounds=200 --set federation.eval_every=0 --set client.epochs=1
    --set federation.warmup_rounds="$warmup")
  begin 200 "${setting[@]}" --checkpoint-every 1
  check "expected three ranks" test "${#pids[@]}" == 3
  kill -KILL "${pids[1]}"
  check "a rank was killed: expected the end of all within 10 s" ended 10
  wait "$launcher"
  check "a rank was killed: expected --resume to complete the run" \
    "$mpirun" -n 2 "$federate" --resume "$work/out" --executor mpi --quiet
  check "expected a run that is not killed to end" \
    "$federate" examples/federations/digits.toml --quiet --out "$work/whole" "${setting[@]}"
  check "a rank was killed: expected the model of the run that was not" \
    cmp "$work/out/model.safetensors" "$work/whole/model.safetensors"
done

begin 100000
kill -TERM "${pids[1]}" # not for a rank to decide
sleep 0.5
check "SIGTERM at rank 1: expected the run to go on" kill -0 "$launcher"
kill -TERM "${pids[0]}"
check "SIGTERM at rank 0: expected the end after a round" ended 20
wait "$launcher"
code=$?
check "SIGTERM: expected exit code 130, got $code" test "$code" == 130
check "SIGTERM: expected summary.json" test -e "$work/out/summary.json"

printf 'failures: %d checks, %d differences\n' "$checks" "$wrong"
[[ $wrong == 0 ]]
