#!/usr/bin/env bash
# Runs the study of merges, or the cells whose names match PATTERN, and copies what each run came to into results/.
# usage: run.sh FEDERATE OUT [PATTERN]
# Each method's rate is tuned first: on a validation set of a tenth of the training samples, with a seed other than those
# that are compared. What is finished, here in results/ or in OUT, is not run again.
set -euo pipefail

federate=$(realpath "$1")
out=$(realpath -m "$2")
pattern=${3:-.}
cd "$(dirname "$0")"
mkdir -p results "$out"

rates=0.01,0.02,0.05,0.1,0.2,0.5
seeds=1,2,3
# The rate that was best with one seed diverged with those that are compared: tuned with three.
declare -A more_seeds=(["clients_100_cohort_10 fedloru"]=11,12,13 ["clients_1000_cohort_100 fedloru"]=11,12,13)

# rate_of FILE: optimizer.learning_rate of a configuration.
rate_of() {
  python3 -c 'import sys, tomllib; print(tomllib.load(open(sys.argv[1], "rb"))["optimizer"]["learning_rate"])' "$1"
}

# CPU seconds of all commands so far, into the variable cpu.
note_cpu() {
  times >"$out/times"
  cpu=$(awk 'NR == 2 {gsub("s", ""); split($1, u, "m"); split($2, k, "m"); printf "%d", 60 * (u[1] + k[1]) + u[2] + k[2]}' "$out/times")
}

# cell NAME BUDGETS METHOD... -- OPTION...: tunes each method's rate, then runs it with all seeds, also read at uplinks of BUDGETS
# MB. Methods wait in results/parts/ until all of the cell are there.
cell() {
  local name=$1 budgets=$2 methods=() parts=() method
  shift 2
  while [[ $1 != -- ]]; do methods+=("$1"); shift; done
  shift
  [[ $name =~ $pattern ]] || return 0
  [[ -f results/$name.csv ]] && return
  for method in "${methods[@]}"; do
    parts+=("results/parts/${name}_$method.csv")
    [[ -f results/parts/${name}_$method.csv ]] || cell_of "$@"
  done
  awk 'FNR > 1 || NR == 1' "${parts[@]}" >"$out/table.csv"
  mv "$out/table.csv" "results/$name.csv"
  rm "${parts[@]}"
}

# compare LABEL RATE OPTION...: the method's runs with all seeds, added to its part under the name LABEL.
compare() {
  local label=$1 rate=$2 table
  shift 2
  printf 'base = "%s"\n\n[optimizer]\nlearning_rate = %s\n' "$PWD/methods/$method.toml" "$rate" \
    >"$out/$name/tuned/$label.toml"
  # 1: a run diverged, which the table shows
  "$federate" --compare "$out/$name/tuned/$label.toml" --seeds "$seeds" --budgets "$budgets" --out "$out/$name/runs/$label" \
    --quiet "$@" || (($? == 1))
  table=$out/$name/runs/$label/runs.csv
  if [[ $label == "$method" ]]; then cat "$table"; else tail -n +2 "$table"; fi >>"$out/$name/$method.csv"
}

# cell_of OPTION...: one method of a cell; its names are those of cell().
cell_of() {
  local rate start lower
  echo "$name $method"
  note_cpu
  start=$cpu
  mkdir -p "$out/$name/tuned" results/parts
  [[ -f results/rates.csv ]] || echo cell,method,rate >results/rates.csv
  rate=$(awk -F, -v cell="$name" -v method="$method" '$1 == cell && $2 == method {print $3}' results/rates.csv)
  if [[ -z $rate ]]; then
    "$federate" "methods/$method.toml" --quiet --set data.validation=0.1 "$@" \
      --seeds "${more_seeds["$name $method"]:-11}" \
      --sweep "optimizer.learning_rate=$rates" --select best --out "$out/$name/tuning/$method"
    rate=$(rate_of "$out/$name/tuning/$method/best.toml")
    cp "$out/$name/tuning/$method/sweep.csv" "results/${name}_${method}_tuning.csv"
    echo "$name,$method,$rate" >>results/rates.csv
  fi
  rm -f "$out/$name/$method.csv"
  compare "$method" "$rate" "$@"
  if awk -F, 'NR > 1 && $5 == 1 {found = 1} END {exit !found}' "$out/$name/$method.csv"; then
    lower=$(tr , '\n' <<<"$rates" | awk -v rate="$rate" '$1 < rate' | tail -n 1)
    if [[ -n $lower ]]; then
      grep -qx "$name,${method}_lower,$lower" results/rates.csv || echo "$name,${method}_lower,$lower" >>results/rates.csv
      compare "${method}_lower" "$lower" "$@"
    fi
  fi
  cp "$out/$name/$method.csv" "results/parts/${name}_$method.csv"
  note_cpu
  echo "$name,$((cpu - start))" >>results/cpu_seconds.csv
}

all=(fedavg fedlora fedloru fedloru_keep fedex_lora flexlora fedmomentum fedmud fedmud_10 ffa_lora fed_sb)
most=(fedavg fedlora fedloru fedloru_keep flexlora fedmomentum fedmud fed_sb)
few=(--set federation.clients=100 --set federation.cohort=10)
many=(--set federation.clients=1000 --set federation.cohort=100)
binding=(--set lowrank.rank=4)
ample=(--set lowrank.rank=32)

# Budgets: what federated averaging sends up in about one round, what low-rank methods of rank 4 and of rank 32 send in all.
for kind in iid dirichlet; do
  on=(--set "partition.kind=$kind")
  cell "${kind}_100_rank_4" 10,38,212 "${all[@]}" -- "${on[@]}" "${few[@]}" "${binding[@]}"
done
# What a restart loses: one thing at a time, iid, rank 4.
varied=(--set partition.kind=iid "${few[@]}" "${binding[@]}")
for tau in 2 5 20 50; do cell "restart_tau_$tau" 10,38 fedloru -- "${varied[@]}" --set "algorithm.tau=$tau"; done
for alpha in 1 16 64; do
  cell "restart_alpha_$alpha" 10,38 fedloru fedlora -- "${varied[@]}" --set "lowrank.alpha=$alpha"
done
for scale in 0.25 4; do
  cell "restart_init_scale_$scale" 10,38 fedloru fedlora -- "${varied[@]}" --set "lowrank.init_scale=$scale"
done
for rounds in 1 3; do
  cell "restart_warmup_$rounds" 10,38 fedloru -- "${varied[@]}" --set "algorithm.warmup=$rounds"
done
cell restart_without_momentum 10,38 fedloru fedlora -- "${varied[@]}" --set optimizer.momentum=0
# All of the data among K clients, of whom a cohort trains: 50 rounds at rank 16. The budget is fedloru's uplink.
for clients in 10:1 10:5 100:2 100:10 100:50 1000:20 1000:100 1000:500; do
  cohort=${clients#*:} clients=${clients%:*}
  cell "clients_${clients}_cohort_$cohort" "$((56 * cohort / 10))" fedavg fedloru -- --set partition.kind=iid \
    --set "federation.clients=$clients" --set "federation.cohort=$cohort" --set federation.rounds=50 \
    --set lowrank.rank=16
done
# Many clients, and a rank that does not bind.
for kind in iid dirichlet; do
  on=(--set "partition.kind=$kind")
  cell "${kind}_1000_rank_4" 100,380,2120 "${most[@]}" -- "${on[@]}" "${many[@]}" "${binding[@]}"
  cell "${kind}_100_rank_32" 10,38,212 "${most[@]}" -- "${on[@]}" "${few[@]}" "${ample[@]}"
  cell "${kind}_1000_rank_32" 100,380,2120 "${most[@]}" -- "${on[@]}" "${many[@]}" "${ample[@]}"
done
