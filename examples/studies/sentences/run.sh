#!/usr/bin/env bash
# Runs the study of sentences, or the cells whose names match PATTERN, and copies what each run came to into results/.
# usage: run.sh FEDERATE DATA OUT [PATTERN]     DATA: the folder with minilm, banking77 and sst2
# cells.sh says how rates are tuned and what is not run again.
set -euo pipefail

federate=$(realpath "$1")
LORU_DATA_DIR=$(realpath "$2")
export LORU_DATA_DIR
out=$(realpath -m "$3")
pattern=${4:-.}
cd "$(dirname "$0")"
mkdir -p results "$out"

rates=0.0005,0.001,0.002,0.005
tuning_seed=11
seeds=1,2,3
declare -A more_seeds=()
source ../cells.sh

methods=(fedlora fedloru fedloru_keep ffa_lora rolora flora fedex_lora flexlora hetlora fedmomentum fedmud_5 fed_sb)
skewed=(--set data.name=sst2 --set federation.clients=10 --set federation.rounds=10 --set federation.eval_every=1)
# Rates are tuned over 5 rounds of 20. Budgets: what factors of rank 8 send up in 5, 10 and 20 rounds.
tuning=(--set federation.rounds=5)
cell banking77 10.6,21.1,42.2 "${methods[@]}" -- --set federation.eval_every=5
cell banking77_personal 42.2 fedlora fedsa_lora pfedloru -- --set federation.personal_images=200
# Two classes, in shares that differ between clients: the accuracy after each of the last six rounds. All methods send as much.
tuning=()
cell sst2_dirichlet 7.6,9.1,10.6,12.1,13.6,15.2 fedlora fedloru fedex_lora flexlora fedmud_5 -- "${skewed[@]}"
