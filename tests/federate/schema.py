#!/usr/bin/env python3
"""Checks `federate --schema` against configurations: bundled ones and what runs write are valid, wrong ones are not.

    schema.py FEDERATE ROOT    exits 77 without Python's jsonschema (Debian: python3-jsonschema)
"""
import json
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

try:
    import jsonschema
except ImportError:
    print("skipped: Python's jsonschema is not installed")
    sys.exit(77)

SMALL = """
[data]
name = "synthetic"
shape = [1, 4, 4]
train_samples = 40
[model]
name = "mlp"
[lowrank]
rank = 2
[federation]
clients = 4
rounds = 1
"""

# Each is refused by the schema as by the program.
WRONG = [
    "[lowrank]\nrnk = 3", "sed = 1", "[optimiser]\nmomentum = 0.5",
    "[lowrank]\nrank = \"a\"", "[lowrank]\nrank = 0", "[client]\nepochs = 2.5", "lowrank = 3", "seed = {a = 1}",
    "[optimizer]\nlearning_rate = 0.0", "[optimizer]\nmomentum = 1.0", "[optimizer]\nnesterov = 1",
    "[federation]\nfraction = 1.5", "[federation]\nclient_state = \"tape\"", "[codec]\nuplink = \"int4\"",
    "[data]\nshape = [1, 2]", "[data]\naugment = [\"flp\"]", "[data]\nbatches = 6",
    "[data]\nvalidation = 1.0", "[federation]\nkeep_rounds = [-1]", "[model]\ninit = \"zeros\"",
    "[model]\nname = \"resnet11\"",
    "[algorithm]\nname = \"fedlru\"", "[algorithm]\ntau = 0", "[algorithm]\nmerge_rounds = [0]",
    "[ranks]\nvalues = [0]", "[ranks]\nshares = [-0.5]",
    "[lowrank]\nstart = \"peft:\"", "[lowrank]\nstart = \"sdv\"",
    "device = \"tpu\"", "[device]\nprecision = \"fp16\"", "[device]\nindex = -1",
    "[lowrank.rates]\nmemory = -1", "[lowrank.rates]\nprodct = [1.0]", "[lowrank.rates]\nproduct = [1, 2]",
]


def errors(validator, document):
    return [f"{'.'.join(map(str, e.absolute_path))}: {e.message}" for e in validator.iter_errors(document)]


def run(federate, folder, text, *arguments):
    path = Path(folder) / "c.toml"
    path.write_text(text, encoding="utf-8")
    return subprocess.run([federate, path, "--quiet", *arguments], capture_output=True, text=True, check=False)


def defaults(schema, table=()):
    """(path, default) of each key that has one."""
    for name, value in schema.get("properties", {}).items():
        if "default" in value:
            yield (*table, name), value["default"]
        elif "description" not in value:
            yield from defaults(value, (*table, name))


def check_run(federate, folder, validator, algorithm):
    """What a run of the algorithm writes is valid, and what nobody set is the default."""
    given = tomllib.loads(SMALL)
    out = Path(folder) / algorithm
    result = run(federate, folder, SMALL, "--set", f"algorithm.name={algorithm}", "--out", out)
    if result.returncode != 0:
        yield f"{algorithm}: {result.stderr}"
        return
    written = tomllib.loads((out / "config.toml").read_text(encoding="utf-8"))
    yield from (f"config.toml of {algorithm}: {error}" for error in errors(validator, written))
    for (table, *leaf), default in defaults(validator.schema):
        value = written[table][leaf[0]] if leaf and leaf[0] in written.get(table, {}) else default
        known = leaf and leaf[0] in given.get(table, {}) or (table, *leaf) in {("algorithm", "name"), ("lowrank", "layers")}
        if not known and value != default:
            yield f"{algorithm}: {table}.{leaf[0]}: expected the default {default}, got {value}"


def main(federate, root):
    schema = json.loads(subprocess.run([federate, "--schema"], capture_output=True, check=True).stdout)
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    found = []
    files = sorted(f for f in Path(root, "examples").glob("**/*.toml") if f.name != "pyproject.toml")
    for file in files:
        found += [f"{file}: {error}" for error in errors(validator, tomllib.loads(file.read_text(encoding="utf-8")))]
    with tempfile.TemporaryDirectory() as folder:
        for text in WRONG:
            if not errors(validator, tomllib.loads(text)):
                found.append(f"the schema accepts {text!r}")
            if run(federate, folder, text, "--set", "data.name=synthetic", "--describe").returncode != 2:
                found.append(f"federate accepts {text!r}")
        for algorithm in ("fedavg", "fedloru", "pfedloru", "hetlora"):
            found += check_run(federate, folder, validator, algorithm)
    for fault in found:
        print(fault)
    if len(files) < 50:
        found.append(f"expected the bundled configurations, found {len(files)}")
    print(f"{len(files)} configurations, {len(WRONG)} wrong ones, {len(found)} faults")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
