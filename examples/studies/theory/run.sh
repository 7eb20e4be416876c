#!/usr/bin/env bash
# Runs the study of docs/theory.md, or the cells whose names match PATTERN, and copies what each came to into results/.
# usage: run.sh BIN OUT [PATTERN]     BIN: the folder of the programs federate and theory
# What is finished in OUT is not run again. A cell's name is <claims>_<model>_<partition>_<seed>.
set -euo pipefail

bin=$(realpath "$1")
out=$(realpath -m "$2")
pattern=${3:-.}
cd "$(dirname "$0")"
mkdir -p results

wanted() { [[ $1 =~ $pattern ]]; }

# seconds NAME COMMAND...: runs it and notes the CPU seconds that it took.
seconds() {
  local name=$1 file
  shift
  file=$(mktemp)
  /usr/bin/time -f '%U %S' -o "$file" "$@"
  awk -v name="$name" 'END {printf "%s,%.0f\n", name, $1 + $2}' "$file" >>results/cpu_seconds.csv
  rm "$file"
}

# federation MODEL PARTITION SEED RATE [OPTION...]: the run whose kept rounds are measured.
federation() {
  local folder="$out/runs/$1_$2_$3" model=$1 partition=$2 seed=$3 rate=$4
  shift 4
  [[ -f $folder/summary.json ]] && return
  seconds "run_${model}_${partition}_$seed" "$bin/federate" base.toml --quiet --out "$folder" --seed "$seed" \
    --set model.name="$model" --set partition.kind="$partition" --set optimizer.learning_rate="$rate" "$@"
}

# spectra NAME RUN ROUND,... OPTION...: server and clients of a run at some rounds, and the shares of the spectrum's
# energy. Each round is kept as soon as it is measured.
spectra() {
  local name=$1 run=$2 rounds=${3//,/ } round
  shift 3
  wanted "$name" || return 0
  for round in $rounds; do
    grep -qs "^$round," "results/$name.csv" && continue
    echo "$name round $round"
    seconds "$name" "$bin/federate" spectrum "$out/runs/$run" --out "$out/${name}_round_$round" --quiet --span \
      --at "$round" "$@"
    python3 condense.py "$out/${name}_round_$round" "results/$name.csv"
  done
}

# part NAME OPTION...: a table that the program theory writes.
part() {
  local name=$1
  shift
  wanted "$name" || return 0
  [[ -f results/$name.csv ]] && return
  echo "$name"
  seconds "$name" "$bin/theory" --threads 2 --out "$out/$name.csv" "$@"
  cp "$out/$name.csv" "results/$name.csv"
}

mkdir -p "$out"
for seed in 1 2 3 4 5; do
  # C1, C2, C5: server and clients of an iid federation, by samples.
  for model in logistic:0.01 mlp:0.05; do
    rate=${model#*:} model=${model%:*}
    name=${model}_iid_$seed
    if wanted "size_$name" || wanted "size600_$name"; then federation "$model" iid "$seed" "$rate"; fi
  done
  sizes=1,3,10,30,100,300,600
  spectra "size_logistic_iid_$seed" "logistic_iid_$seed" 0,5,100 --clients 20 --samples "$sizes" --tolerance 0.02
  # All sizes cost the mlp 40 minutes a round: the initial weights of one seed have them. Elsewhere 600, the federation's
  # own, have five clients.
  large=0,5,100
  if [[ $seed == 1 ]]; then
    large=5,100
    spectra size_mlp_iid_1 mlp_iid_1 0 --clients 20 --samples "$sizes" --tolerance 0.02
  fi
  spectra "size_mlp_iid_$seed" "mlp_iid_$seed" 0,5,100 --clients 20 --samples 1,10,100 --tolerance 0.02
  spectra "size600_mlp_iid_$seed" "mlp_iid_$seed" "$large" --clients 5 --samples 600 --tolerance 0.02
  # C3: the same number of samples under four partitions. One class: shards of one class a client.
  for kind in iid dirichlet shards one_class; do
    for model in logistic:0.01 mlp:0.05; do
      rate=${model#*:} model=${model%:*}
      name="partition_${model}_${kind}_$seed"
      wanted "$name" || continue
      case $kind in
        iid) run="${model}_iid_$seed"; federation "$model" iid "$seed" "$rate" ;;
        one_class)
          # At 0.05 the mlp diverges on clients of one class.
          run="${model}_one_class_$seed"
          federation "$model" one_class "$seed" 0.01 --set partition.kind=shards \
            --set partition.classes_per_client=1
          ;;
        *) run="${model}_${kind}_$seed"; federation "$model" "$kind" "$seed" "$rate" ;;
      esac
      spectra "$name" "$run" 0,5,100 --clients 20 --samples 50 --tolerance 0.02
    done
  done
  # C6: gradients and turns, cut to rank r.
  for kind in iid dirichlet; do
    part "alignment_mlp_${kind}_$seed" --seed "$seed" alignment --partition "$kind" --clients 20 --rounds 0,5,100
  done
  # Causality: dense turns, projected.
  for kind in iid dirichlet; do
    part "projections_mlp_${kind}_$seed" --seed "$seed" projections --partition "$kind" --rounds 30 --ranks 1,4,16
  done
done
for seed in 1 2 3; do
  # C1 on convolutional nets: a server of 2,000 images, and a narrow ResNet with one of 600.
  wanted "size_cnn_iid_$seed" && federation cnn iid "$seed" 0.05 --set federation.rounds=25
  spectra "size_cnn_iid_$seed" "cnn_iid_$seed" 0,25 --clients 20 --samples 1,10,100 --tolerance 0.02
  wanted "size_resnet10_iid_$seed" && federation resnet10 iid "$seed" 0.05 --set federation.rounds=25 --set model.narrow=4
  spectra "size_resnet10_iid_$seed" "resnet10_iid_$seed" 0,25 --clients 5 --samples 10,30,120 --tolerance 0.02
  # C4: models of their own on data sets of several sizes.
  for samples in 50,500,5000 20000; do
    part "training_mlp_${samples//,/_}_$seed" --seed "$seed" sizes --samples "$samples" --steps 0,100,500,2500 \
      --epochs 0,1,5,15
  done
done
