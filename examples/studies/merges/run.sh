#!/usr/bin/env bash
# Runs the study of merges, or the cells whose names match PATTERN, and copies what each run came to into results/.
# usage: run.sh FEDERATE OUT [PATTERN]
# cells.sh says how rates are tuned and what is not run again.
set -euo pipefail

federate=$(realpath "$1")
out=$(realpath -m "$2")
pattern=${3:-.}
cd "$(dirname "$0")"
mkdir -p results "$out"

rates=0.01,0.02,0.05,0.1,0.2,0.5
tuning_seed=11
seeds=1,2,3
# The rate that was best with one seed diverged with those that are compared: tuned with three.
declare -A more_seeds=(["clients_100_cohort_10 fedloru"]=11,12,13 ["clients_1000_cohort_100 fedloru"]=11,12,13)
tuning=()
source ../cells.sh

all=(fedavg fedlora fedloru fedloru_keep fedex_lora flexlora fedmomentum fedmud fedmud_10 ffa_lora fed_sb)
most=(fedavg fedlora fedloru fedloru_keep flexlora fedmomentum fedmud fed_sb)
few=(--set federation.clients=100 --set federation.cohort=10)
many=(--set federation.clients=1000 --set federation.cohort=100)
binding=(--set lowrank.rank=4)
ample=(--set lowrank.rank=32)

# early CELL BUDGETS OPTION...: federated averaging's first rounds at its tuned rate, each evaluated.
early() {
  local name="early_$1" budgets=$2 method=fedavg rate
  [[ $name =~ $pattern && ! -f results/$name.csv ]] || return 0
  rate=$(awk -F, -v cell="$1" '$1 == cell && $2 == "fedavg" {print $3}' results/rates.csv)
  [[ -n $rate ]] || return 0
  shift 2
  mkdir -p "$out/$name/tuned"
  rm -f "$out/$name/fedavg.csv"
  compare fedavg "$rate" "$@" --set federation.rounds=4 --set federation.eval_every=1
  cp "$out/$name/fedavg.csv" "results/$name.csv"
}

# Budgets: what federated averaging sends up in about one round, what low-rank methods of rank 4 and of rank 32 send in all.
for kind in iid dirichlet; do
  on=(--set "partition.kind=$kind")
  cell "${kind}_100_rank_4" 10,38,212 "${all[@]}" -- "${on[@]}" "${few[@]}" "${binding[@]}"
  early "${kind}_100_rank_4" 10,38 "${on[@]}" "${few[@]}"
done
# What a restart loses: one thing at a time, iid, rank 4.
varied=(--set partition.kind=iid "${few[@]}" "${binding[@]}")
for tau in 2 5 20 50; do cell "restart_tau_$tau" 10,38 fedloru -- "${varied[@]}" --set "algorithm.tau=$tau"; done
for alpha in 1 16; do
  cell "restart_alpha_$alpha" 10,38 fedloru fedlora -- "${varied[@]}" --set "lowrank.alpha=$alpha"
done
# With s = 16 all rates of the grid diverge.
(
  rates=0.0005,0.001,0.002,0.005
  cell restart_alpha_64 10,38 fedloru fedlora -- "${varied[@]}" --set lowrank.alpha=64
)
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
  uplink=$(awk -v cohort="$cohort" 'BEGIN {print 5.63 * cohort}')
  cell "clients_${clients}_cohort_$cohort" "$uplink" fedavg fedloru -- --set partition.kind=iid \
    --set "federation.clients=$clients" --set "federation.cohort=$cohort" --set federation.rounds=50 \
    --set lowrank.rank=16
done
# Many clients, and a rank that does not bind.
for kind in iid dirichlet; do
  on=(--set "partition.kind=$kind")
  cell "${kind}_1000_rank_4" 100,380,2120 "${most[@]}" -- "${on[@]}" "${many[@]}" "${binding[@]}"
  early "${kind}_1000_rank_4" 100,380 "${on[@]}" "${many[@]}"
  cell "${kind}_100_rank_32" 10,38,212 "${most[@]}" fedmud_10 -- "${on[@]}" "${few[@]}" "${ample[@]}"
  cell "${kind}_1000_rank_32" 100,380,2120 "${most[@]}" -- "${on[@]}" "${many[@]}" "${ample[@]}"
done
