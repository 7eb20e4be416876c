#!/usr/bin/env python3
"""What Flower adds to a federation in bytes and seconds: examples/flower on the loopback, plain and with TLS, beside federate.

    flower.py FEDERATE WORK [--idle SECONDS]    by a Python that has loru, numpy and the flwr of examples/flower/pyproject.toml

Bytes are those of the sockets between nodes and SuperLink, both ways. A turn's are the whole run's less those of idle nodes for
as long, and so have a share of the app, which each node fetches once. Seconds of the processor are those of all processes, from
start to end. Prints a line of JSON for each.
"""
import argparse
import csv
import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

APP = Path(__file__).resolve().parents[1] / "examples/flower"
sys.path.insert(0, str(APP))
import digits  # noqa: E402
from loopback import Loopback  # noqa: E402


def bytes_of(loopback):
    return {way: sum(getattr(wire, way) for wire in loopback.wires.values()) for way in ("up", "down")}


def connected(loopback):
    """Waits until every node has registered and begun to ask for messages."""
    while any(b"SuperNode ID" not in (loopback.work / f"client-{k}.log").read_bytes() for k in loopback.nodes):
        for k, process in loopback.nodes.items():
            if process.poll() is not None:
                raise SystemExit(f"flower: the node of client {k} has ended: see {loopback.work}/client-{k}.log")
        time.sleep(0.2)
    time.sleep(10)


def cpu_seconds():
    """Of all processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure(data, work, tls, idle):
    cpu = cpu_seconds()
    with Loopback(data, work, tls) as loopback:
        for k in range(loopback.count):
            loopback.start_node(k)
        connected(loopback)
        before, begin = bytes_of(loopback), time.monotonic()
        time.sleep(idle)
        after, seconds = bytes_of(loopback), time.monotonic() - begin
        rates = {way: (after[way] - before[way]) / seconds for way in after}
        before, begin = bytes_of(loopback), time.monotonic()
        summary = loopback.wait(loopback.submit())
        after, seconds = bytes_of(loopback), time.monotonic() - begin
        rounds = loopback.rounds()
    turns, result = summary["updates"], {"tls": tls, "model_sha256": summary["model_sha256"], "turns": summary["updates"]}
    for way in ("up", "down"):
        own = summary[f"{way}link_bytes"]
        result[way] = {"loru_per_turn": own // turns,
                       "flower_per_turn": round((after[way] - before[way] - own - rates[way] * seconds) / turns),
                       "idle_node_per_second": round(rates[way] / loopback.count)}
    times = [float(row["seconds"]) for row in rounds]
    result["cpu_seconds"] = cpu_seconds() - cpu
    result["seconds_per_round"] = {"median": statistics.median(times), "least": min(times), "most": max(times)}
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("federate", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--idle", type=float, default=60.0, help="seconds for which idle nodes are watched")
    arguments = parser.parse_args()
    data = arguments.work / "data"
    digits.write(data, APP / "federation.toml")
    alone = arguments.work / "alone"
    subprocess.run([arguments.federate, APP / "federation.toml", "--data-dir", data, "--out", alone, "--quiet"], check=True)
    with open(alone / "rounds.csv", newline="") as file:
        times = [float(row["seconds"]) for row in csv.DictReader(file)]
    sha = json.loads((alone / "summary.json").read_text())["model_sha256"]
    print(json.dumps({"federate": True, "model_sha256": sha, "seconds_per_round": statistics.median(times)}))
    for tls in (False, True):
        print(json.dumps(measure(data, arguments.work / ("tls" if tls else "plain"), tls, arguments.idle)), flush=True)


if __name__ == "__main__":
    main()
