#!/usr/bin/env bash
# What a GPU has to show about loru, in at most eight minutes, truth before speed. `./dev gpu-kit` puts it beside the programs.
#
#   [OUT=DIR] ./run.sh      results go to DIR (default ./results): few and small files, so that they can be carried home
#
# summary.txt has a line for each part, log.txt what the parts printed, tests.xml the tests, runs.tar.gz the folders that federate
# wrote, without models, profile.nsys-rep the profile. Each part has a time limit of its own. Exit code: 0 if all went well, 1 if
# a part failed, 2 if there is no device.
set -u

kit=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
out=$(realpath -m "${OUT:-results}")
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
mkdir -p "$out"
cd "$kit" || exit 1
PATH=$PATH:/usr/local/cuda/bin
export LORU_TEST_DATA=$kit/data
failed=0 absent=0

size() { stat -c %s "$1" 2>/dev/null || echo 0; }

# small FILE BYTES: cuts what is longer.
small() {
  if (($(size "$1") > $2)); then truncate -s "$2" "$1"; fi
}

# part NAME SECONDS COMMAND...: what it prints goes to log.txt at once. Its exit code 77 means that it has nothing to run here. A
# process that takes its time after SIGTERM outlives the one that timeout waits for: what is left of timeout's group is killed.
part() {
  local name=$1 limit=$2 begin=$SECONDS log=$out/log.txt code state before group
  shift 2
  echo "==== $name" >>"$log"
  before=$(size "$log")
  timeout --kill-after=5 "$limit" "$@" >>"$log" 2>&1 </dev/null &
  group=$!
  wait "$group"
  code=$?
  kill -KILL -- "-$group" 2>/dev/null
  small "$log" $((before + 1000000))
  tail -c "+$((before + 1))" "$log" >"$scratch/log"
  case $code in
    0) state=passed ;;
    77) state=skipped ;;
    124 | 137) state="stopped after $limit s" failed=1 ;;
    *)
      state="failed with $code"
      if grep -q 'expected a CUDA device' "$scratch/log"; then state='no device' absent=1; else failed=1; fi
      ;;
  esac
  printf '%-18s %4d s  %s: %s\n' "$name" $((SECONDS - begin)) "$state" \
    "$(grep -v '^[[:space:]]*$' "$scratch/log" | tail -n 1 | head -c 200)" | tee -a "$out/summary.txt"
}

# The folder with cuBLAS 13, which the programs load when they first multiply; empty if there is none.
cublas() {
  local name=libcublas.so.13 folder
  ldconfig -p 2>/dev/null | awk -v name=$name '$1 == name {print $NF}' | while read -r folder; do dirname "$folder"; done
  for folder in /usr/local/cuda*/{lib64,lib,targets/x86_64-linux/lib} \
    $(python3 -c 'import site; print(*site.getsitepackages(), site.getusersitepackages())' 2>/dev/null |
      tr ' ' '\n' | sed 's|$|/nvidia/cu13/lib\n&/nvidia/cublas/lib|'); do
    if [[ -e $folder/$name ]]; then echo "$folder"; fi
  done
}

device() {
  if command -v nvidia-smi >/dev/null; then nvidia-smi; fi
  bin/federate federations/digits.toml --data-dir data --device cuda --quiet --set federation.rounds=1 --out "$scratch/runs/$1"
}

names() { bin/test_gpu --list-test-names-only 2>/dev/null || bin/test_gpu --list-tests --verbosity quiet; }

# A line "passed|failed|unfinished NAME" for each test in tests.xml, which grows test by test.
results() {
  awk '/<TestCase / {if (name) print "unfinished " name; name = $0; sub(/.*<TestCase name="/, "", name); sub(/" .*/, "", name)}
    name && /<OverallResult / {print (/success="true"/ ? "passed " : "failed ") name; name = ""}
    END {if (name) print "unfinished " name}' "$out/tests.xml" |
    sed 's/&lt;/</g; s/&gt;/>/g; s/&quot;/"/g; s/&amp;/\&/g'
}

# tests SECONDS: all in one process, then those that did not pass, each in a process of its own: an error that the device keeps
# fails whatever comes after it. Without a device the programs exit as skipped, so that one has to be there first.
tests() {
  local end=$((SECONDS + $1 - 3)) code name literal state left skipped=
  device before_tests || return
  timeout --foreground --kill-after=2 $((end - SECONDS - 27)) bin/test_gpu -r xml -d yes -o "$out/tests.xml"
  code=$?
  if ((code == 77)); then code=0 skipped=', some of them skipped, with the reason in the log'; fi
  if ((code != 0)); then
    results | sed -n 's/^failed //p; s/^unfinished //p' >"$scratch/again"
    names | grep -vxFf <(results | cut -d ' ' -f 2-) >>"$scratch/again"
    while left=$((end - SECONDS)) && ((left > 0)) && IFS= read -r name; do
      literal=$(sed 's/[][\\,"*~]/\\&/g' <<<"$name")
      timeout --foreground --kill-after=2 $((left < 10 ? left : 10)) bin/test_gpu "$literal" >"$scratch/alone" 2>&1 </dev/null
      case $? in
        0) state=passed ;;
        77) state=skipped ;;
        124 | 137) state='did not end' ;;
        *) state=failed && head -n 60 "$scratch/alone" ;;
      esac
      echo "alone: $state: $name"
    done <"$scratch/again"
  fi
  echo "$(results | grep -c ^passed) of $(names | grep -c .) passed$skipped, $(results | grep -c ^failed) failed," \
    "$(results | grep -c ^unfinished) not finished (exit code $code)"
  return $((code != 0))
}

# One federation on both devices: the accuracies differ by at most one image in a hundred.
digits() {
  local name
  for name in cpu cuda; do
    bin/federate federations/digits.toml --data-dir data --device "$name" --quiet --out "$scratch/runs/digits_$name" || return
  done
  command -v python3 >/dev/null || { echo "both ran; no python3 here to compare them"; return 77; }
  python3 - "$scratch/runs" <<'PYTHON'
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
  local code
  LORU_CUDA_CACHE=0 compute-sanitizer --tool "$1" --error-exitcode 1 bin/test_gpu -d yes \
    'forward: one pass\, float,backward in one pass\, float,cuda softmax: cross-entropy and its gradient,'\
'forward: split at S\, sums in pieces*,backward split at dS\, float,attention\, forward and back\, float,convolution: backward*'
  code=$?
  if ((code == 77)); then echo "passed, some skipped"; return 0; fi
  return $code
}

# Rounds of a ResNet-18 on synthetic images, by plan and precision: s/round in one line of JSON each.
rounds() {
  local plan precision name code=0
  for plan in auto factored composed; do
    for precision in float tf32; do
      name="resnet18_${plan}_$precision"
      bin/federate federations/resnet18.toml --device cuda --quiet --out "$scratch/runs/$name" --set "lowrank.plan=$plan" \
        --set "device.precision=$precision" || { code=$?; continue; }
      python3 -c 'import json, sys
s = json.load(open(sys.argv[2]))
print(json.dumps({"work": sys.argv[1], "seconds_a_round": s["train_seconds"] / s["rounds"], "accuracy": s["final_test_accuracy"]}))' \
        "$name" "$scratch/runs/$name/summary.json" || code=1
    done
  done
  return "$code"
}

# The same rounds with longer turns, whose steps are started one kernel after the other or as graphs: one model comes out, and graphs
# were started.
graph() {
  local on
  for on in 0 1; do
    LORU_CUDA_GRAPH=$on bin/federate federations/resnet18.toml --device cuda --quiet --out "$scratch/runs/graph_$on" \
      --set federation.rounds=2 --set client.epochs=8 || return
  done
  command -v python3 >/dev/null || { echo "both ran; no python3 here to compare them"; return 77; }
  python3 - "$scratch/runs" <<'PYTHON'
import json, sys
plain, graph = (json.load(open(f"{sys.argv[1]}/graph_{on}/summary.json")) for on in (0, 1))
same, started = plain["model_sha256"] == graph["model_sha256"], graph["graph_launches"]
print(f"{plain['train_seconds']:.2f} s kernel by kernel, {graph['train_seconds']:.2f} s with {started} graphs, "
      f"{'the same model' if same else 'another model'}")
sys.exit(not same or started == 0 or plain["graph_launches"] > 0)
PYTHON
}

# Where the time of such a round goes, by kernel.
profile() {
  command -v nsys >/dev/null || { echo "no nsys here"; return 77; }
  nsys profile --output "$scratch/profile" --force-overwrite true --stats true bin/federate federations/resnet18.toml \
    --device cuda --quiet --out "$scratch/runs/profiled" --set federation.rounds=2
  local code=$?
  if (($(size "$scratch/profile.nsys-rep") <= 16000000)); then cp "$scratch/profile.nsys-rep" "$out/"; fi
  return $code
}

# By what is worth most: tf32, which most would use.
pytorch() {
  python3 -c 'import torch, sys; sys.exit(not torch.cuda.is_available())' 2>/dev/null || { echo "no PyTorch with a device here"; return 77; }
  local precision
  for precision in tf32 float bf16; do
    python3 peers/torch_step.py --device cuda --precision "$precision" --graph --rank 16 --steps 50 || return 1
  done
}

rm -f "$out"/{log.txt,tests.xml,runs.tar.gz,profile.nsys-rep}
mkdir -p "$scratch/runs"
library=$(cublas | head -n 1)
if [[ -n $library ]]; then
  export LD_LIBRARY_PATH=$library${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
  echo "cuBLAS: $library"
else
  echo "cuBLAS: none found: expected libcublas.so.13; whatever multiplies dense matrices fails"
fi | tee "$out/summary.txt"
export -f size device names results tests digits checked rounds graph profile pytorch
export out scratch
for entry in device:15 tests:120 digits:30 memcheck:60 racecheck:50 synccheck:20 kernels:60 rounds:50 graph:20 profile:25 \
  pytorch:30; do
  name=${entry%:*} limit=${entry#*:}
  case $name in
    device) part "$name" "$limit" bash -c "device first" ;;
    tests) part "$name" "$limit" bash -c "tests $limit" ;;
    *check) part "$name" "$limit" bash -c "checked $name" ;;
    kernels) part "$name" "$limit" bin/cuda_kernels ;;
    *) part "$name" "$limit" bash -c "$name" ;;
  esac
done
small "$out/tests.xml" 16000000
tar -C "$scratch/runs" --exclude='*.safetensors' -czf "$out/runs.tar.gz" .
if (($(size "$out/runs.tar.gz") > 16000000)); then
  rm "$out/runs.tar.gz" && echo "runs.tar.gz: more than 16 MB, left out" | tee -a "$out/summary.txt"
fi
((absent)) && exit 2
exit "$failed"
