# For the run.sh of studies that tune each method's rate and then compare: to be sourced in the study's folder, which has
# methods/METHOD.toml. It wants the variables
#   federate  the program
#   out       a folder for the runs
#   pattern   the cells whose names match it run
#   rates     the grid, ascending; tuning_seed, of the tuning; seeds, of the runs that are compared
#   more_seeds (an array, may be empty)  seeds of the tuning of "CELL METHOD" where one is too few
# A rate is tuned on a validation set of a tenth of the training samples. Where a run diverges at it, the next lower rate of the
# grid runs too, as METHOD_lower. What is finished, in results/ or in OUT, is not run again; methods wait in results/parts/ until
# all of their cell are there. A rate in results/rates.csv is not tuned again: to tune anew, delete its line.

# rate_of FILE: optimizer.learning_rate of a configuration.
rate_of() {
  python3 -c 'import sys, tomllib; print(tomllib.load(open(sys.argv[1], "rb"))["optimizer"]["learning_rate"])' "$1"
}

# CPU seconds of all commands so far, into the variable cpu.
note_cpu() {
  LC_ALL=C times >"$out/times"
  cpu=$(awk 'NR == 2 {gsub("s", ""); split($1, u, "m"); split($2, k, "m"); printf "%d", 60 * (u[1] + k[1]) + u[2] + k[2]}' "$out/times")
}

# cell NAME BUDGETS METHOD... -- OPTION...: tunes each method's rate, then runs it with all seeds, also read at uplinks of BUDGETS
# MB. tuning=(OPTION...) holds for the tuning alone.
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
  mkdir -p "$out/$name/tuned"
  [[ -f results/rates.csv ]] || echo cell,method,rate >results/rates.csv
  rate=$(awk -F, -v cell="$name" -v method="$method" '$1 == cell && $2 == method {print $3}' results/rates.csv)
  if [[ -z $rate ]]; then
    "$federate" "methods/$method.toml" --quiet --set data.validation=0.1 "$@" "${tuning[@]}" \
      --seeds "${more_seeds["$name $method"]:-$tuning_seed}" \
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
  mkdir -p results/parts
  cp "$out/$name/$method.csv" "results/parts/${name}_$method.csv"
  note_cpu
  echo "$name,$((cpu - start))" >>results/cpu_seconds.csv
}
