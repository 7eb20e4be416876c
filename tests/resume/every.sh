#!/usr/bin/env bash
# Kills a run with checkpoints at every n-th of each system call on files that it makes, and each of those that write fails
# there for want of space; each time the run is resumed and must be the run that was never killed: the same hash, the same rows.
#
#   every.sh FEDERATE [--step N] [--only NAME] [--random N] [--threads N] [--launch "mpirun -n 2"] [-- ARGUMENTS]
#
# --step N     every N-th instant of each call (default: every one)
# --only NAME  one of the kinds of run: fedloru hetlora scaffold pfedloru fedadam warmup, and stopped, which is a run
#              that a signal had stopped and that is killed once it goes on (default: all; of --random: but stopped)
# --random N   instead: N kills at random times, with --threads threads under the launcher; ARGUMENTS go to federate
#
# Exit code 0: all equal; 1: some differ; 77: skipped.
set -u

federate=$1
shift
step=1 only='' random=0 threads=1 launch=() more=()
while (($#)); do
  case $1 in
    --step) step=$2 ;;
    --only) only=$2 ;;
    --random) random=$2 ;;
    --threads) threads=$2 ;;
    --launch) read -ra launch <<<"$2" ;;
    --)
      more=("${@:2}")
      break
      ;;
    *)
      echo "every.sh: unknown argument '$1'" >&2
      exit 2
      ;;
  esac
  shift 2
done

# A launcher may refuse to run as root, or more processes than there are cores.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
calls=(openat mkdir write writev pwrite64 ftruncate fsync fdatasync close rename renameat renameat2 unlink unlinkat)
writing=(mkdir write writev pwrite64 ftruncate fsync fdatasync rename renameat renameat2)

if ((random == 0)) && ! strace -f -qq -o /dev/null true 2>/dev/null; then
  echo "SKIPPED: strace cannot trace here"
  exit 77
fi

cat >"$work/tiny.toml" <<'TOML'
seed = 7
[data]
name = "synthetic"
shape = [1, 4, 4]
classes = 4
train_samples = 48
test_samples = 16
[model]
name = "mlp"
width = 16
[lowrank]
rank = 4
alpha = 4
[algorithm]
name = "fedloru"
tau = 2
[federation]
clients = 6
cohort = 3
rounds = 6
eval_every = 2
personal_images = 4
[client]
epochs = 1
batch = 8
TOML

declare -A settings=(
  [fedloru]='federation.keep_merges=true federation.keep_rounds=[0,3]'
  [hetlora]='algorithm.name=hetlora algorithm.gamma=0.5 algorithm.lambda=0.1 ranks.rule=fixed ranks.values=[2,4]'
  [scaffold]='algorithm.name=scaffold'
  [pfedloru]='algorithm.name=pfedloru federation.client_state=disk federation.keep_best=true'
  [fedadam]='codec.uplink=top_k codec.downlink=top_k codec.keep=0.1 server.optimizer=fedadam server.learning_rate=0.01'
  [stopped]='algorithm.name=scaffold federation.keep_best=true'
  [warmup]='federation.warmup_rounds=2 codec.uplink=top_k codec.keep=0.1'
)

# The rows of a run without times, and its hash.
result_of() {
  cut -d, -f1-7,9- "$1/rounds.csv"
  grep model_sha256 "$1/summary.json"
}

# fresh: the folder as the run that is to be killed finds it.
fresh() {
  rm -rf "$work/run"
  if [[ -e $work/before ]]; then cp -a "$work/before" "$work/run"; fi
}

# stop: runs the command up to a signal in its third round; from now on the command is to go on from there.
stop() {
  rm -rf "$work/run"
  strace -f -qq -o /dev/null -e trace=/^rename -e inject=/^rename:signal=SIGTERM:when=12 "$federate" "${command[@]}" \
    2>/dev/null </dev/null
  local code=$?
  if ((code != 130)) || [[ ! -e $work/run/summary.json ]]; then
    echo "stopped: expected exit 130 and a summary, got exit $code" >&2
    exit 1
  fi
  mv "$work/run" "$work/before"
  command=(--resume "$work/run" --threads "$threads" --quiet "${more[@]}")
}

equal=0 all=0
# compare WHAT: resumes the run in $work/run, which was stopped as WHAT says, and compares it.
compare() {
  local run=$work/run
  ((++all))
  if [[ -e $run/config.toml ]]; then
    "${launch[@]}" "$federate" --resume "$run" --quiet "${more[@]}" 2>"$work/errors" </dev/null
  else
    "${launch[@]}" "$federate" "${command[@]}" 2>"$work/errors" </dev/null
  fi
  local code=$?
  if { ((code == 0)) || grep -q 'resume: the run is finished' "$work/errors"; } &&
    [[ $(result_of "$run" 2>&1) == "$expected" ]] && [[ -z $(find "$run" -name '.loru-*') ]]; then
    ((++equal))
  else
    echo "differs: $1 (exit $code): $({ grep '^federate: ' "$work/errors" || cat "$work/errors"; } | head -c 300)"
  fi
}

# What a run that is out of space has to say: one line, exit 1 or 2; or it went on without.
said() { # said CODE
  local lines
  lines=$(wc -l <"$work/stopped")
  { (($1 == 1 || $1 == 2)) && ((lines == 1)) && grep -q '^federate: ' "$work/stopped"; } ||
    { (($1 == 0)) && ((lines == 0)); }
}

is_one_of() {
  local word=$1 other
  shift
  for other in "$@"; do [[ $word == "$other" ]] && return; done
  return 1
}

every_instant() { # every_instant NAME
  fresh
  strace -f -qq -o "$work/log" -e trace="$(IFS=,; echo "${calls[*]}")" "$federate" "${command[@]}" || exit 1
  local call n count code how
  for call in "${calls[@]}"; do
    count=$(grep -cE "^[0-9]+ +$call\(" "$work/log")
    for how in signal=SIGKILL error=ENOSPC; do
      if [[ $how == error=* ]] && ! is_one_of "$call" "${writing[@]}"; then continue; fi
      for ((n = 1; n <= count; n += step)); do
        fresh
        {
          strace -f -qq -o /dev/null -e trace="$call" -e inject="$call:$how:when=$n" "$federate" "${command[@]}" \
            2>"$work/stopped" </dev/null
          code=$?
        } 2>/dev/null  # where bash says that it was killed
        if [[ $how == error=* ]] && ! said $code; then
          echo "differs: $1: $call $n $how: exit $code: $(head -c 300 "$work/stopped")"
          ((++all))
          continue
        fi
        compare "$1: $call $n of $count $how"
      done
    done
  done
}

random_instants() { # random_instants NAME
  local i begin took child
  fresh
  begin=$(date +%s%N)
  "${launch[@]}" "$federate" "${command[@]}" </dev/null || exit 1
  took=$((($(date +%s%N) - begin) / 1000))
  for ((i = 0; i < random; ++i)); do
    fresh
    # A session of its own, so that a launcher's processes are killed too.
    setsid "${launch[@]}" "$federate" "${command[@]}" </dev/null >/dev/null 2>&1 &
    child=$!
    sleep "$(awk -v seed="$RANDOM$RANDOM" -v took="$took" 'BEGIN { srand(seed); print rand() * took / 1e6 }')"
    { pkill -KILL -s "$child"; wait "$child"; } 2>/dev/null
    while pgrep -r D,R,S,T -s "$child" >/dev/null; do sleep 0.05; done  # one of them may hold the folder still
    compare "$1: random kill $i"
  done
}

names='fedloru hetlora scaffold pfedloru fedadam warmup'
if ((random == 0)); then names+=' stopped'; fi
for name in ${only:-$names}; do
  command=("$work/tiny.toml" --threads "$threads" --checkpoint-every 1 --quiet --out "$work/run" "${more[@]}")
  for setting in ${settings[$name]}; do command+=(--set "$setting"); done
  rm -rf "$work/run"
  "$federate" "${command[@]}" || exit 1
  expected=$(result_of "$work/run")
  rm -rf "$work/before"
  if [[ $name == stopped ]]; then stop; fi
  if ((random > 0)); then random_instants "$name"; else every_instant "$name"; fi
done
echo "resume: $equal of $all equal"
((equal == all && all > 0))
