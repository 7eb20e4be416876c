#!/usr/bin/env python3
"""Reads the events of runs back by the package tensorboard: scalars, histograms and the configuration are those of the
run's other files, and each round is there once, also after kills.

    events.py FEDERATE     exits 77 where the package is not there, or the program was built without events
"""
import csv
import json
import random
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SMALL = """
seed = 7
[data]
name = "synthetic"
shape = [1, 4, 4]
classes = 4
train_samples = 240
test_samples = 80
validation = 0.1
[model]
name = "mlp"
[lowrank]
rank = 4
alpha = 4
[algorithm]
name = "fedloru"
tau = 2
[federation]
clients = 12
cohort = 4
rounds = 5
eval_every = 2
[client]
epochs = 1
batch = 8
[tracking]
tensorboard = true
"""
FACTORS = {"fc2.lora_A.weight", "fc2.lora_B.weight"}  # of mlp: the layers but the first and the last
MEASURED = {"train/loss": "train_loss", "test/accuracy": "test_accuracy", "test/loss": "test_loss",
            "validation/accuracy": "validation_accuracy"}
SPENT = {"round/uplink_MB": ("uplink_bytes", 1e-6), "round/downlink_MB": ("downlink_bytes", 1e-6),
         "round/seconds": ("seconds", 1), "round/clients_dropped": ("dropped", 1),
         "round/clients_rejected": ("rejected", 1)}


def federate(*arguments, code=0):
    result = subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=True, check=False)
    assert result.returncode == code, (arguments, result)
    return result


def events_of(run):
    """What TensorBoard reads, however many events a tag has. Each record's checksums are checked."""
    files = sorted((run / "tensorboard").iterdir())
    assert all(file.name.startswith("events.out.tfevents.") and file.name.endswith(".loru") for file in files), files
    accumulator = event_accumulator.EventAccumulator(str(run / "tensorboard"), size_guidance={
        event_accumulator.SCALARS: 0, event_accumulator.HISTOGRAMS: 0, event_accumulator.TENSORS: 0})
    accumulator.Reload()
    return accumulator


def steps(events, tag):
    return [e.step for e in events.Scalars(tag)] if tag in events.Tags()["scalars"] else []


def near(a, b):
    return abs(a - b) <= 1e-6 * max(1.0, abs(b))


def check(run, rounds, seconds=True):
    """The events of a run against rounds.csv, summary.json and config.toml."""
    events = events_of(run)
    with open(run / "rounds.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["round"]) for row in rows] == list(range(1, rounds + 1)), rows
    sent = [sum(int(row["uplink_bytes"]) for row in rows[:i + 1]) for i in range(rounds)]
    tags = events.Tags()
    assert set(tags["scalars"]) == {*MEASURED, *SPENT, *("by_uplink/" + tag for tag in MEASURED)}, tags
    for tag, column in MEASURED.items():
        there = [(i, float(row[column])) for i, row in enumerate(rows) if row[column]]
        assert there and len(there) == (rounds if tag == "train/loss" else rounds // 2 + rounds % 2), (tag, there)
        read = events.Scalars(tag)
        assert [e.step for e in read] == [i + 1 for i, _ in there], (tag, read)
        assert all(near(e.value, value) for e, (_, value) in zip(read, there)), (tag, read, there)
        read = events.Scalars("by_uplink/" + tag)
        assert [e.step for e in read] == [sent[i] for i, _ in there], (tag, read)
        assert all(near(e.value, value) for e, (_, value) in zip(read, there)), (tag, read, there)
    for tag, (column, unit) in SPENT.items():
        read = events.Scalars(tag)
        assert [e.step for e in read] == list(range(1, rounds + 1)), (tag, read)
        if seconds or column != "seconds":  # those of rounds that were repeated are of the last time
            assert all(near(e.value, unit * float(row[column])) for e, row in zip(read, rows)), (tag, read)

    assert set(tags["histograms"]) == {"factors/" + name for name in FACTORS}, tags
    for name in FACTORS:
        read = events.Histograms("factors/" + name)
        assert [e.step for e in read] == list(range(1, rounds + 1)), (name, read)
        for event in read:
            histogram = event.histogram_value
            assert histogram.num == sum(histogram.bucket) > 0, histogram
            assert histogram.bucket_limit == sorted(histogram.bucket_limit), histogram
            assert histogram.bucket_limit[-1] == histogram.max >= histogram.min, histogram
            merged = event.step % 2 == 0  # the round ended with a merge, and B began anew
            assert (histogram.min == histogram.max == 0.0) == (merged and "lora_B" in name), (name, event)
            assert near(histogram.sum_squares, 0.0) == (merged and "lora_B" in name), (name, event)
    last = {name: events.Histograms("factors/" + name)[-1].histogram_value for name in FACTORS}
    for name, values in tensors_of(run / "model.safetensors").items():
        if name in last:
            assert last[name].num == len(values)
            assert near(last[name].min, min(values)) and near(last[name].max, max(values)), name
            assert near(last[name].sum, sum(values)), name

    assert tags["tensors"] == ["configuration"], tags
    (text,) = events.Tensors("configuration")
    told = text.tensor_proto.string_val[0].decode()
    assert told == "```toml\n" + (run / "config.toml").read_text(encoding="utf-8") + "```\n", told
    assert events.SummaryMetadata("configuration").plugin_data.plugin_name == "text"
    return events


def tensors_of(file):
    """Name and numbers of each F32 tensor of a safetensors file."""
    data = file.read_bytes()
    length = struct.unpack_from("<Q", data)[0]
    header = json.loads(data[8:8 + length])
    header.pop("__metadata__", None)
    return {name: struct.unpack_from(f"<{(entry['data_offsets'][1] - entry['data_offsets'][0]) // 4}f", data,
                                     8 + length + entry["data_offsets"][0])
            for name, entry in header.items() if entry["dtype"] == "F32"}


def check_run(folder):
    run = folder / "run"
    federate(folder / "small.toml", "--out", run, "--quiet")
    check(run, 5)
    assert len(list((run / "tensorboard").iterdir())) == 1

    # The key changes no model; a run without it removes what another has left.
    model = json.loads((run / "summary.json").read_text())["model_sha256"]
    federate(folder / "small.toml", "--out", run, "--quiet", "--set", "tracking.tensorboard=false")
    assert json.loads((run / "summary.json").read_text())["model_sha256"] == model
    assert not (run / "tensorboard").exists()


def check_dense(folder):
    run = folder / "dense"
    federate(folder / "small.toml", "--out", run, "--quiet", "--set", "algorithm.name=fedavg")
    tags = events_of(run).Tags()
    assert not tags["histograms"] and "test/loss" in tags["scalars"], tags


def check_again(folder):
    """A run in the same folder begins its events anew, and leaves files of others alone."""
    run = folder / "again"
    for seed in (1, 2):
        federate(folder / "small.toml", "--out", run, "--quiet", "--seed", seed)
        assert steps(events_of(run), "train/loss") == [1, 2, 3, 4, 5]
    other = run / "tensorboard" / "notes.txt"
    other.write_text("kept")
    federate(folder / "small.toml", "--out", run, "--quiet", "--set", "tracking.tensorboard=false")
    assert [file.name for file in (run / "tensorboard").iterdir()] == ["notes.txt"]


def check_stopped(folder):
    """A run that a signal stops is readable, and goes on without a round twice or lost."""
    run = folder / "stopped"
    for every, kills in ((1, 6), (3, 6), (2, 6)):
        shutil.rmtree(run, ignore_errors=True)
        arguments = [folder / "small.toml", "--out", run, "--quiet", "--checkpoint-every", every]
        arguments += ["--set", "federation.rounds=40", "--set", "client.epochs=20"]
        begun = 0
        for _ in range(kills):
            process = subprocess.Popen([PROGRAM, *map(str, arguments)], stderr=subprocess.DEVNULL)
            rounds = run / "rounds.csv"
            lines = begun + random.randrange(1, 6)
            while process.poll() is None and (not rounds.exists() or rounds.read_bytes().count(b"\n") < lines):
                time.sleep(0.002)
            process.send_signal(random.choice([signal.SIGKILL, signal.SIGTERM]))
            if process.wait() == 0:
                break  # it was faster than the signal
            if not (run / "config.toml").exists():
                continue
            read = steps(events_of(run), "train/loss")  # of a killed run, as it is
            assert read == list(range(1, len(read) + 1)), read
            begun, arguments = lines, ["--resume", run, "--quiet"]
        if process.returncode != 0:
            federate(*arguments)
        assert len(list((run / "tensorboard").iterdir())) > 1
        check(run, 40, seconds=False)


def check_half_written(folder):
    """A record that was not written whole is no record; rounds after the checkpoint are written again."""
    run = folder / "half"
    federate(folder / "small.toml", "--out", run, "--quiet", "--checkpoint-every", 1)
    (file,) = (run / "tensorboard").iterdir()
    whole = file.read_bytes()
    with open(file, "wb") as cut:
        cut.write(whole[:-7])
    assert steps(events_of(run), "round/seconds") == [1, 2, 3, 4, 5]
    assert len(steps(events_of(run), "by_uplink/train/loss")) == 4
    for every in (1, 10):  # the checkpoint before is of round 4, and of before the first
        federate(folder / "small.toml", "--out", run, "--quiet", "--checkpoint-every", every)
        for name in ("summary.json", "checkpoint/000005.safetensors"):
            (run / name).unlink()
        federate("--resume", run, "--quiet")
        check(run, 5)
        assert len(list((run / "tensorboard").iterdir())) == 2


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "small.toml").write_text(SMALL, encoding="utf-8")
        probe = subprocess.run([PROGRAM, folder / "small.toml", "--out", folder / "probe", "--quiet"],
                               capture_output=True, text=True, check=False)
        if probe.returncode == 2 and "built without" in probe.stderr:
            assert probe.stderr.startswith("federate: tracking.tensorboard: built without "), probe
            assert probe.stderr.count("\n") == 1 and not (folder / "probe").exists(), probe
            print("SKIPPED: " + probe.stderr.strip())
            return 77
        check_run(folder)
        check_dense(folder)
        check_again(folder)
        check_half_written(folder)
        check_stopped(folder)
    print("tensorboard: all equal")
    return 0


if __name__ == "__main__":
    PROGRAM = sys.argv[1]
    try:
        from tensorboard.backend.event_processing import event_accumulator
    except ImportError:
        print("SKIPPED: the Python package tensorboard is not there")
        sys.exit(77)
    sys.exit(main())
