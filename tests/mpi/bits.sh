#!/usr/bin/env bash
# Whether ranks and threads show in what a run gives: each federation below is run with threads of one process and
# then with MPI, and must have one model_sha256 and one rounds.csv but for times, with turns on every rank.
#
#   bits.sh [--sample] [FEDERATE [MPIRUN]]    default: build/release/bin/federate mpirun
#
# --sample: three algorithms on one and three ranks. Prints what differs and one closing line; exits 0 or 1.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

sample=
if [[ ${1:-} == --sample ]]; then
  sample=yes
  shift
fi
federate=${1:-build/release/bin/federate}
mpirun=${2:-mpirun}
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
export OMPI_MCA_btl_vader_single_copy_mechanism=none # containers may refuse it, with a message
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

if [[ $sample ]]; then
  algorithms=(fedloru pfedloru hetlora) # one of them after a warm-up besides
  rank_counts=(1 3) thread_counts=(2) codecs=(top_k)
else
  algorithms=(fed_sb fedavg fedex_lora fedhm fedlora fedloru fedmomentum fedmud fedpara fedprox fedsa_lora ffa_lora
    flexlora flora hetlora local mfedloru pfedloru raflora rolora scaffold)
  rank_counts=(1 2 3 4) thread_counts=(1 2) codecs=(none top_k)
fi
readonly small=(--set federation.rounds=3 --set federation.cohort=10 --set federation.eval_every=2
  --set data.validation=0.1 --set client.epochs=1 --set algorithm.tau=2)
runs=0 wrong=0

complain() {
  printf 'bits: %s\n' "$1"
  wrong=$((wrong + 1))
}

# run NAME COMMAND...: whether it succeeds; what it says on failure is printed.
run() {
  local name=$1
  shift
  runs=$((runs + 1))
  timeout 120 "$@" >"$work/said" 2>&1 </dev/null && return
  complain "$name: exit code $?: $(head -c 500 "$work/said")"
  return 1
}

# The hash and all but the seconds of rounds.csv.
result() {
  grep -o '"model_sha256": "[0-9a-f]*"' "$1/summary.json"
  cut -d, -f1-7,9- "$1/rounds.csv"
}

# compare NAME SETTING...: one federation on all numbers of ranks and threads.
compare() {
  local name=$1 ranks threads
  shift
  local -r one="$work/one"
  run "$name" "$federate" examples/federations/digits.toml "${small[@]}" "$@" --threads 1 --quiet --out "$one" || return
  for ranks in "${rank_counts[@]}"; do
    for threads in "${thread_counts[@]}"; do
      local this="$name, $ranks ranks of $threads threads" out="$work/mpi"
      rm -rf "$out"
      run "$this" "$mpirun" -n "$ranks" "$federate" examples/federations/digits.toml "${small[@]}" "$@" \
        --executor mpi --threads "$threads" --quiet --out "$out" || continue
      [[ $(result "$one") == "$(result "$out")" ]] || complain "$this: another model or other rounds"
      python3 - "$out/summary.json" "$ranks" <<'PY' || complain "$this: a rank without turns"
import json, sys
run = json.load(open(sys.argv[1]))
turns = run["turns_by_rank"]
sys.exit(not (run["executor"] == "mpi" and run["ranks"] == int(sys.argv[2]) == len(turns) and min(turns) > 0))
PY
    done
  done
  rm -rf "$one"
}

for algorithm in "${algorithms[@]}"; do
  for codec in "${codecs[@]}"; do
    compare "$algorithm, $codec" --set algorithm.name="$algorithm" --set codec.uplink="$codec" --set codec.keep=0.1
  done
done
compare "fedloru after a warm-up" --set algorithm.name=fedloru --set federation.warmup_rounds=1
if [[ ! $sample ]]; then
  compare "pfedloru on disk, int8" --set algorithm.name=pfedloru --set federation.client_state=disk --set codec.uplink=int8
  compare "fedloru after a warm-up, start svd, top_k down" --set algorithm.name=fedloru --set federation.warmup_rounds=1 \
    --set lowrank.start=svd --set codec.downlink=top_k --set codec.keep=0.1
  compare "hetlora of two ranks" --set algorithm.name=hetlora --set ranks.rule=fixed --set "ranks.values=[4, 8]"
  compare "fedlora of two ranks" --set algorithm.name=fedlora --set ranks.rule=fixed --set "ranks.values=[4, 8]"
  compare "fedlora with drop-outs" --set algorithm.name=fedlora --set federation.drop_before=0.2 --set federation.drop_after=0.2
fi

printf 'bits: %d runs, %d differences\n' "$runs" "$wrong"
[[ $wrong == 0 ]]
