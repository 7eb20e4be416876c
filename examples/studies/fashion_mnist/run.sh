#!/usr/bin/env bash
# Runs the study, or the cells whose names match PATTERN, and copies what each run came to into results/.
# usage: run.sh FEDERATE OUT [PATTERN] [option of federate]...
# What is finished in OUT is not run again. One core needs about four hours for all of it; cells may run beside each other.
set -euo pipefail

federate=$(realpath "$1")
out=$(realpath -m "$2")
pattern=${3:-.}
options=("${@:4}")
cd "$(dirname "$0")"
mkdir -p results

# cell NAME FILE... -- OPTION...: one comparison, three seeds
cell() {
  local name=$1 files=()
  shift
  while [[ $1 != -- ]]; do files+=("$1"); shift; done
  shift
  [[ $name =~ $pattern ]] || return 0
  echo "$name"
  # 1: a run diverged, which the table shows
  "$federate" --compare "${files[@]}" --seeds 1,2,3 --out "$out/$name" --quiet "$@" "${options[@]}" || (($? == 1))
  cp "$out/$name/runs.csv" "results/$name.csv"
  for seed in 1 2 3; do  # norms and overlap of its two updates
    if [[ $name == mlp_* && -f $out/$name/pfedloru/seed-$seed/summary.json ]]; then
      cp "$out/$name/pfedloru/seed-$seed/summary.json" "results/${name}_pfedloru_$seed.json"
    fi
  done
}

cnn=(algorithms/{fedavg,fedlora,fedloru,fedhm,flexlora}.toml)
small=(--set model.name=cnn --set 'lowrank.layers=["conv2", "fc1"]' --set federation.rounds=20)
thin=(--set lowrank.rank=4 --set lowrank.alpha=4)
long=(--set client.epochs=2 --set optimizer.learning_rate=0.05)
half=(--set federation.fraction=0.5 --set federation.rounds=20)
cut=(algorithms/{fedlora,fedloru,fedloru_keep,fedex_lora,ffa_lora,rolora,fedsa_lora,pfedloru}.toml)
tiers=(--set ranks.rule=tiers --set 'ranks.values=[4, 8, 16]')

for kind in iid dirichlet shards; do
  on=(--set "partition.kind=$kind")
  cell "mlp_${kind}_10" algorithms/*.toml -- "${on[@]}"
  cell "mlp_${kind}_50" algorithms/*.toml -- "${on[@]}" "${half[@]}"
  cell "cnn_${kind}_10" "${cnn[@]}" -- "${on[@]}" "${small[@]}"
  cell "merges_${kind}_rank_16" merges/*.toml -- "${on[@]}"
  cell "merges_${kind}_rank_4" merges/*.toml -- "${on[@]}" "${thin[@]}"
  cell "merges_${kind}_rank_16_long" merges/{never,{reinit,keep}_{10,20}}.toml -- "${on[@]}" "${long[@]}"
  cell "merges_${kind}_rank_4_long" merges/{never,{reinit,keep}_{10,20}}.toml -- "${on[@]}" "${thin[@]}" "${long[@]}"
  cell "codecs_${kind}" codecs/*.toml -- "${on[@]}"
  cell "cut_${kind}" "${cut[@]}" -- "${on[@]}" "${tiers[@]}"
done
