#!/usr/bin/env bash
# Runs the study of merges, or the cells whose names match PATTERN, and copies what each run came to into results/.
# usage: run.sh FEDERATE OUT [PATTERN]
# Each method's rate is tuned first: on a validation set of a tenth of the training samples, with seeds other than those
# that are compared. What is finished in OUT is not run again.
set -euo pipefail

federate=$(realpath "$1")
out=$(realpath -m "$2")
pattern=${3:-.}
cd "$(dirname "$0")"
mkdir -p results "$out"

rates=0.01,0.03,0.1,0.3,1.0
tuning_seeds=11,12
seeds=1,2,3

# rate_of FILE: optimizer.learning_rate of a configuration.
rate_of() {
  python3 -c 'import sys, tomllib; print(tomllib.load(open(sys.argv[1], "rb"))["optimizer"]["learning_rate"])' "$1"
}

# cell NAME METHOD... -- OPTION...: tunes each method's rate, then compares them.
cell() {
  local name=$1 methods=() files=() method rate
  shift
  while [[ $1 != -- ]]; do methods+=("$1"); shift; done
  shift
  [[ $name =~ $pattern ]] || return 0
  [[ -f results/$name.csv ]] && return
  echo "$name"
  mkdir -p "$out/$name/tuned"
  for method in "${methods[@]}"; do
    "$federate" "methods/$method.toml" --quiet --set data.validation=0.1 "$@" --seeds "$tuning_seeds" \
      --sweep "optimizer.learning_rate=$rates" --select best --out "$out/$name/tuning/$method"
    rate=$(rate_of "$out/$name/tuning/$method/best.toml")
    printf 'base = "%s"\n\n[optimizer]\nlearning_rate = %s\n' "$PWD/methods/$method.toml" "$rate" \
      >"$out/$name/tuned/$method.toml"
    grep -qs "^$name,$method," results/rates.csv || echo "$name,$method,$rate" >>results/rates.csv
    cp "$out/$name/tuning/$method/sweep.csv" "results/${name}_${method}_tuning.csv"
    files+=("$out/$name/tuned/$method.toml")
  done
  # 1: a run diverged, which the table shows
  "$federate" --compare "${files[@]}" --seeds "$seeds" --budgets 5,20,60 --out "$out/$name/runs" --quiet "$@" || (($? == 1))
  cp "$out/$name/runs/runs.csv" "results/$name.csv"
}

all=(fedavg fedlora fedloru fedloru_keep fedex_lora flexlora fedmomentum fedmud fedmud_10 ffa_lora fed_sb)
few=(--set federation.clients=100 --set federation.cohort=10)
many=(--set federation.clients=1000 --set federation.cohort=100)
binding=(--set lowrank.rank=4)
ample=(--set lowrank.rank=32)

for kind in iid dirichlet; do
  on=(--set "partition.kind=$kind")
  cell "${kind}_100_rank_4" "${all[@]}" -- "${on[@]}" "${few[@]}" "${binding[@]}"
  cell "${kind}_100_rank_32" "${all[@]}" -- "${on[@]}" "${few[@]}" "${ample[@]}"
  cell "${kind}_1000_rank_4" "${all[@]}" -- "${on[@]}" "${many[@]}" "${binding[@]}"
  cell "${kind}_1000_rank_32" "${all[@]}" -- "${on[@]}" "${many[@]}" "${ample[@]}"
done
# What a restart loses: one thing at a time, iid, rank 4.
varied=(--set partition.kind=iid "${few[@]}" "${binding[@]}")
for tau in 2 5 20 50; do cell "restart_tau_$tau" fedloru -- "${varied[@]}" --set "algorithm.tau=$tau"; done
for alpha in 1 16 64; do cell "restart_alpha_$alpha" fedloru fedlora -- "${varied[@]}" --set "lowrank.alpha=$alpha"; done
cell restart_without_momentum fedloru fedlora -- "${varied[@]}" --set optimizer.momentum=0
