#!/usr/bin/env bash
# What a GPU has to show about loru, in at most eight minutes, truth before speed. `./dev gpu-kit` puts it beside the programs.
#
#   [OUT=DIR] ./run.sh      results go to DIR (default ./results), files of at most 16 MiB
#
# Each part has a time limit of its own and says in one line how it went. Exit code: 0 if all went well, 1 if a part failed, 2
# if there is no device.
set -u

kit=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
out=$(realpath -m "${OUT:-results}")
mkdir -p "$out"
cd "$kit" || exit 1
PATH=$PATH:/usr/local/cuda/bin
failed=0 absent=0

# part NAME SECONDS COMMAND...: what it prints goes to NAME.txt. Its exit code 2 means that there is no device, 77 that it has
# nothing to run here.
part() {
  local name=$1 limit=$2 begin=$SECONDS code state
  shift 2
  timeout --kill-after=5 "$limit" "$@" >"$out/$name.all" 2>&1 </dev/null
  code=$?
  head -c 16000000 "$out/$name.all" >"$out/$name.txt"
  rm -f "$out/$name.all"
  case $code in
    0) state=passed ;;
    2) state='no device' absent=1 ;;
    77) state=skipped ;;
    124 | 137) state="stopped after $limit s" failed=1 ;;
    *) state="failed with $code" failed=1 ;;
  esac
  printf '%-18s %4d s  %s: %s\n' "$name" $((SECONDS - begin)) "$state" \
    "$(grep -v '^[[:space:]]*$' "$out/$name.txt" | tail -n 1 | head -c 200)" | tee -a "$out/summary.txt"
}

device() {
  if command -v nvidia-smi >/dev/null; then nvidia-smi; fi
  bin/federate federations/digits.toml --data-dir data --device cuda --quiet --set federation.rounds=1 --out "$out/first"
}

# Catch2 counts a skipped test as passed, so that a device has to be there first.
tests() {
  local code
  device >/dev/null 2>&1
  code=$?
  if ((code == 2)); then echo "no device"; return 2; fi
  bin/test_gpu -r junit -o "$out/tests.xml"
  code=$?
  ((code == 2)) && code=1  # the number of failures, as Catch2 counts them
  grep -o '<testsuite [^>]*' "$out/tests.xml" | tail -n 1
  return $code
}

# One federation on both devices: the accuracies differ by at most one image in a hundred.
digits() {
  local name
  for name in cpu cuda; do
    bin/federate federations/digits.toml --data-dir data --device "$name" --quiet --out "$out/digits_$name" || return
  done
  python3 - "$out" <<'PYTHON'
import json, sys
cpu, cuda = (json.load(open(f"{sys.argv[1]}/digits_{name}/summary.json")) for name in ("cpu", "cuda"))
print(f"test accuracy {cpu['final_test_accuracy']} on the host, {cuda['final_test_accuracy']} on the device; "
      f"{cpu['train_seconds']:.2f} and {cuda['train_seconds']:.2f} s")
sys.exit(abs(cpu["final_test_accuracy"] - cuda["final_test_accuracy"]) > 0.01)
PYTHON
}

# checked TOOL: a selection of the tests under compute-sanitizer. A comma in a name is escaped, else it parts two names.
checked() {
  command -v compute-sanitizer >/dev/null || { echo "no compute-sanitizer here"; return 77; }
  LORU_CUDA_CACHE=0 compute-sanitizer --tool "$1" --error-exitcode 1 bin/test_gpu \
    'forward: one pass\, float,backward in one pass\, float,cuda softmax: cross-entropy and its gradient'
}

# Rounds of a ResNet-18 on synthetic images, by plan and precision: s/round in one line of JSON each.
rounds() {
  local plan precision name code=0
  for plan in auto factored composed; do
    for precision in float tf32; do
      name="resnet18_${plan}_$precision"
      bin/federate federations/resnet18.toml --device cuda --quiet --out "$out/$name" --set "lowrank.plan=$plan" \
        --set "device.precision=$precision" || code=$?
      ((code == 2)) && return 2
      python3 -c 'import json, sys
s = json.load(open(sys.argv[2]))
print(json.dumps({"work": sys.argv[1], "seconds_a_round": s["train_seconds"] / s["rounds"], "accuracy": s["final_test_accuracy"]}))' \
        "$name" "$out/$name/summary.json" || code=1
    done
  done
  return "$code"
}

# The same rounds with longer turns, whose steps are started one kernel after the other or as a graph: one model comes out.
graph() {
  local on
  for on in 0 1; do
    LORU_CUDA_GRAPH=$on bin/federate federations/resnet18.toml --device cuda --quiet --out "$out/graph_$on" \
      --set federation.rounds=2 --set client.epochs=8 || return
  done
  python3 - "$out" <<'PYTHON'
import json, sys
plain, graph = (json.load(open(f"{sys.argv[1]}/graph_{on}/summary.json")) for on in (0, 1))
same = plain["model_sha256"] == graph["model_sha256"]
print(f"{plain['train_seconds']:.2f} s kernel by kernel, {graph['train_seconds']:.2f} s as graphs, "
      f"{'the same model' if same else 'another model'}")
sys.exit(not same)
PYTHON
}

# Where the time of such a round goes, by kernel.
profile() {
  command -v nsys >/dev/null || { echo "no nsys here"; return 77; }
  nsys profile --output "$out/profile" --force-overwrite true --stats true bin/federate federations/resnet18.toml \
    --device cuda --quiet --out "$out/profiled" --set federation.rounds=2
  local code=$?
  rm -f "$out/profile.sqlite"
  if [[ $(stat -c %s "$out/profile.nsys-rep" 2>/dev/null || echo 0) -gt 16000000 ]]; then rm "$out/profile.nsys-rep"; fi
  return $code
}

pytorch() {
  python3 -c 'import torch, sys; sys.exit(not torch.cuda.is_available())' 2>/dev/null || { echo "no PyTorch with a device here"; return 77; }
  local precision
  for precision in float tf32 bf16; do
    python3 peers/torch_step.py --device cuda --precision "$precision" --graph --rank 16 --steps 50 || return 1
  done
}

: >"$out/summary.txt"
export -f device tests digits checked rounds graph profile pytorch
export out
for entry in device:20 tests:120 digits:30 memcheck:60 racecheck:55 kernels:60 rounds:60 graph:20 profile:25 \
  pytorch:30; do
  name=${entry%:*}
  case $name in
    memcheck | racecheck) part "$name" "${entry#*:}" bash -c "checked $name" ;;
    kernels) part "$name" "${entry#*:}" bin/cuda_kernels ;;
    *) part "$name" "${entry#*:}" bash -c "$name" ;;
  esac
done
((absent)) && exit 2
exit "$failed"
