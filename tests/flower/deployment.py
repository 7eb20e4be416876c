#!/usr/bin/env python3
"""loru over Flower, for real: a SuperLink and four SuperNodes on the loopback.

    deployment.py FEDERATE ROOT WORK [plain] [tls] [lost]    by a Python that has loru, numpy and the flwr of
                                                            examples/flower/pyproject.toml
"""
import csv
import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

import loru

FEDERATE, ROOT, WORK = (Path(argument).resolve() for argument in sys.argv[1:4])
APP = ROOT / "examples/flower"
sys.path.insert(0, str(APP))
import digits  # noqa: E402
import keys  # noqa: E402
from loopback import Loopback  # noqa: E402

CLIENTS = 4
LOST = 1  # the client whose node is killed, in the round after a merge
KILLED_IN = 4
PATIENCE = 300.0  # seconds for what takes a few


def expect(what, expected, got):
    if expected != got:
        raise SystemExit(f"flower: {what}: expected {expected}, got {got}")


def await_(what, holds):
    end = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > end:
            raise SystemExit(f"flower: {what}: expected within {PATIENCE} s")
        time.sleep(0.05)


def app_of(algorithm, folder, rounds=6):
    """The app with another algorithm in its configuration, and other rounds."""
    target = folder / "flower"
    shutil.copytree(APP, target, ignore=shutil.ignore_patterns("__pycache__"))
    text = (target / "federation.toml").read_text()
    for own, other in (('name = "fedloru"', f'name = "{algorithm}"'), ("rounds = 6", f"rounds = {rounds}")):
        expect(f"federation.toml: {own}", 1, text.count(own))
        text = text.replace(own, other)
    (target / "federation.toml").write_text(text)
    return target


def federate(app, data, out):
    subprocess.run([FEDERATE, app / "federation.toml", "--data-dir", data, "--out", out, "--quiet"], check=True)
    with open(out / "rounds.csv", newline="") as file:
        return json.loads((out / "summary.json").read_text()), list(csv.DictReader(file))


def same_as_federate(algorithm, tls, data):
    """Model, losses and bytes of each round are federate's."""
    folder = WORK / f"{algorithm}{'-tls' * tls}"
    app = app_of(algorithm, folder)
    theirs, rows = federate(app, data, folder / "alone")
    with Loopback(data, folder, tls, app, CLIENTS) as loopback:
        for k in range(CLIENTS):
            loopback.start_node(k)
        ours = loopback.wait(loopback.submit(round_seconds=PATIENCE))
        own = loopback.rounds()
        if tls:
            refused(loopback)
    expect(f"{algorithm}: model_sha256", theirs["model_sha256"], ours["model_sha256"])
    expect(f"{algorithm}: merges", 2, ours["merges"])
    for name in ("round", "cohort", "train_loss", "uplink_bytes", "downlink_bytes"):
        expect(f"{algorithm}: {name}", [float(row[name]) for row in rows], [float(row[name]) for row in own])
    for name in ("test_accuracy", "test_loss"):
        expect(f"{algorithm}: {name}", [row[name] and float(row[name]) for row in rows],
               [row[name] and float(row[name]) for row in own])


def refused(loopback):
    """A node whose key is not registered does not get in."""
    keys.main(loopback.work / "other", 1, ["127.0.0.1"])
    shutil.copy(loopback.work / "other/client-0", loopback.keys / "client-0")
    loopback.kill_node(0)
    loopback.start_node(0)
    await_("a node that is not registered ends", lambda: loopback.nodes[0].poll() is not None)
    expect("a node that is not registered", True, "Failed to activate SuperNode" in (loopback.work / "client-0.log").read_text())


def turn_begun(log, round):
    return re.search(rf"ROUND {round}\].*Received successfully", log.read_text(errors="replace"), re.S) is not None


def lost_and_late(data):
    """A node that comes late, one that is killed in its turn and comes back, and a server that is stopped and goes on: the model
    is that of the updates that rounds.csv lists, and the killed node cost one."""
    folder = WORK / "lost"
    app = app_of("pfedloru", folder, rounds=7)  # two are left when the server is stopped
    with Loopback(data, folder, app=app, nodes=CLIENTS) as loopback:
        for k in range(CLIENTS - 1):
            loopback.start_node(k)
        run = loopback.submit(round_seconds=45.0, nodes=CLIENTS - 1)
        await_("the first round", lambda: loopback.rounds())
        loopback.start_node(CLIENTS - 1)
        await_("the turn that is killed", lambda: turn_begun(folder / f"client-{LOST}.log", KILLED_IN))
        loopback.kill_node(LOST)
        await_("the round of the kill", lambda: len(loopback.rounds()) >= KILLED_IN)
        loopback.start_node(LOST)
        await_("the round after", lambda: len(loopback.rounds()) > KILLED_IN)
        loopback.stop(run)
        summary = loopback.wait(loopback.submit(round_seconds=PATIENCE, resume=True))
        rows = loopback.rounds()
    answered = [[int(k) for k in row["clients"].split()] for row in rows]
    model = loru.Model.from_configuration(app / "federation.toml", (1, 8, 8), 10, "uint8")
    cohorts = [loru.sample_cohort(model.seed, round, CLIENTS, 3) for round in range(1, len(rows) + 1)]
    expect("a node that is late: the first round", [k for k in cohorts[0] if k != CLIENTS - 1], answered[0])
    expect("a node that is late: the last round", cohorts[-1], answered[-1])
    expect("a killed node: updates lost", [int(round == KILLED_IN) for round in range(1, len(rows) + 1)],
           [int(row["dropped"]) for row in rows])
    expect("a killed node: its round", False, LOST in answered[KILLED_IN - 1])
    expect("a killed node: it is back", True, LOST in answered[-1])
    expect("updates refused", 0, sum(int(row["rejected"]) for row in rows))
    expect("model_sha256", of_updates(model, answered, data), summary["model_sha256"])


def of_updates(model, answered, data):
    """The digest of the model that these clients' updates make, without Flower."""
    server, clients = loru.Server(model, clients=CLIENTS), [loru.Client(model) for _ in range(CLIENTS)]
    for cohort in answered:
        server.begin_round()
        for k in cohort:
            with np.load(data / f"client-{k}.npz") as samples:
                server.receive(clients[k].answer(server.broadcast(k), samples["x"], samples["y"]))
        server.finish_round()
    return server.model.sha256


def pins():
    """Everything names the same version of Flower."""
    files = ("examples/flower/pyproject.toml", "examples/flower/README.md", "docs/flower.md")
    found = {file: set(re.findall(r"flwr==([\d.]+\d)", (ROOT / file).read_text())) for file in files}
    for file, versions in found.items():
        expect(f"versions of flwr in {file}", found[files[0]], versions)
    expect("versions of flwr", 1, len(found[files[0]]))


def plain(data):
    same_as_federate("fedloru", False, data)
    print("flower: fedloru: the model of federate", flush=True)


def tls(data):
    same_as_federate("pfedloru", True, data)
    print("flower: pfedloru with TLS and authenticated nodes: the model of federate", flush=True)


def lost(data):
    lost_and_late(data)
    print("flower: nodes late, killed and back, a server that went on: the model of the updates that came", flush=True)


def main(names):
    shutil.rmtree(WORK, ignore_errors=True)
    pins()
    data = WORK / "data"
    digits.write(data, APP / "federation.toml")
    for scenario in (plain, tls, lost):
        if not names or scenario.__name__ in names:
            scenario(data)


if __name__ == "__main__":
    main(sys.argv[4:])
