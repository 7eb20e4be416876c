#!/usr/bin/env python3
"""A whole deployment on this machine: a SuperLink and a SuperNode for each client, on free ports of the loopback.

    loopback.py DATA WORK [--tls] [--set KEY=VALUE]...

DATA is the folder that digits.py wrote. WORK gets the run in WORK/run, and the nodes' folders and logs. --tls adds TLS and
authenticated nodes. --set changes what pyproject.toml has for the app: --set round-seconds=60.0 --set 'dtype="float32"'. At
the end it prints the digest of the model, and the bytes that went over the wire beside those of loru's messages.
"""
import argparse
import contextlib
import csv
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import keys

HERE = Path(__file__).resolve().parent
HOST = "127.0.0.1"
FAILED = ("finished:failed", "finished:stopped")


def free_port():
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


class Wire:
    """Hands on what a node and the SuperLink say to each other, and counts the bytes each way."""

    def __init__(self, port):
        self._target = port
        self._listener = socket.create_server((HOST, 0))
        self.port = self._listener.getsockname()[1]
        self.up = self.down = 0
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            node, _ = self._listener.accept()
            try:
                link = socket.create_connection((HOST, self._target))
            except OSError:  # the SuperLink is not there: neither are we
                node.close()
                continue
            for source, target, way in ((node, link, "up"), (link, node, "down")):
                threading.Thread(target=self._forward, args=(source, target, way), daemon=True).start()

    def _forward(self, source, target, way):
        try:
            while data := source.recv(1 << 16):
                with self._lock:
                    setattr(self, way, getattr(self, way) + len(data))
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            source.close()
            target.close()


class Loopback:
    """With `with`: the SuperLink runs, nodes are started by start_node() and all are ended at the end."""

    def __init__(self, data, work, tls=False, app=HERE, nodes=4):
        self.data, self.work, self.app, self.count = Path(data).resolve(), Path(work).resolve(), Path(app), nodes
        self.work.mkdir(parents=True, exist_ok=True)
        self.keys = self.work / "loopback-keys" if tls else None
        self.port = free_port()
        self.wires, self.nodes = {}, {}
        self._processes = []
        self._environment = {**os.environ, "FLWR_HOME": str(self.work / "flwr"), "FLWR_TELEMETRY_ENABLED": "0",
                             "FLWR_DISABLE_UPDATE_CHECK": "1", "OMP_NUM_THREADS": "1",
                             "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}

    def __enter__(self):
        try:
            self._start_link()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in reversed(self._processes):
            self.end(process, signal.SIGTERM)
        for process in self._processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                self.end(process, signal.SIGKILL)
                process.wait()

    def start_node(self, k):
        """Starts the node of client k, anew if it was there before."""
        if k not in self.wires:
            self.wires[k] = Wire(self.port)
        wire = self.wires[k]
        config = f'client={k} samples="{self.data}/client-{k}.npz" state="{self.work}/client-{k}"'
        command = ["flower-supernode", "--superlink", f"{HOST}:{wire.port}", "--port", free_port(), "--node-config", config]
        if self.keys:
            command += ["--root-certificates", self.keys / "ca.pem", "--auth-supernode-private-key", self.keys / f"client-{k}"]
        else:
            command += ["--insecure"]
        self.nodes[k] = self._start(f"client-{k}", command)

    def kill_node(self, k):
        """Ends the node of client k, and what it has started, at once."""
        self.end(self.nodes[k], signal.SIGKILL)

    def submit(self, **settings):
        """Submits the app, with these keys of its configuration changed."""
        values = {"out": str(self.work / "run"), "test": str(self.data / "test.npz"), **settings}
        self.folder = Path(values["out"])
        self._before = self._summary()
        text = " ".join(f"{key.replace('_', '-')}={json.dumps(value)}" for key, value in values.items())
        told = self._flwr("run", self.app, "loopback", "--run-config", text, "--format", "json")
        answer = json.loads(told[told.index("{"):])
        if not answer.get("success"):
            raise SystemExit(f"loopback: flwr run: {told}")
        return answer["run-id"]

    def wait(self, run, seconds=600):
        """Waits until the run has ended, and returns its summary."""
        end, looks = time.monotonic() + seconds, 0
        while time.monotonic() < end:
            looks += 1
            if looks % 20 == 0 and (status := self._status(run)) in FAILED:
                raise SystemExit(f"{self._flwr('log', run, 'loopback', '--show')}loopback: the run ended as {status}")
            if self._summary() not in (None, self._before):  # the last thing that a run writes
                summary = json.loads((self.folder / "summary.json").read_text())
                if summary["updates"] == 0:
                    raise SystemExit(f"{self._flwr('log', run, 'loopback', '--show')}loopback: no round folded an update")
                return summary
            time.sleep(0.5)
        raise SystemExit(f"{self._flwr('log', run, 'loopback', '--show')}loopback: expected the run to end within {seconds} s")

    def stop(self, run):
        """Stops a run."""
        self._flwr("stop", run, "loopback")

    def _summary(self):
        """What tells one summary.json from another; None where there is none."""
        with contextlib.suppress(FileNotFoundError):
            status = (self.folder / "summary.json").stat()
            return status.st_ino, status.st_mtime_ns
        return None

    def _status(self, run):
        runs = json.loads(self._flwr("ls", "loopback", "--format", "json"))["runs"]
        return next(entry["status"] for entry in runs if str(entry["run-id"]) == str(run))

    def rounds(self):
        """The rows of rounds.csv up to now."""
        path = self.folder / "rounds.csv"
        if not path.exists():
            return []
        with open(path, newline="") as file:
            return list(csv.DictReader(file))

    def end(self, process, number):
        """Sends a signal to a process that was started here, unless it has ended, and to what it has started."""
        if process.returncode is None:  # until then its number is no other's
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)

    def _start_link(self):
        command = ["flower-superlink", "--host", HOST, "--port", self.port, "--disable-runtime-dependency-installation"]
        connection = {"address": f"{HOST}:{self.port}"}
        if self.keys:
            shutil.rmtree(self.keys, ignore_errors=True)
            keys.main(self.keys, self.count, [HOST, "localhost"])
            command += ["--ssl-ca-certfile", self.keys / "ca.pem", "--ssl-certfile", self.keys / "server.pem",
                        "--ssl-keyfile", self.keys / "server.key", "--enable-supernode-auth"]
            connection["root-certificates"] = str(self.keys / "ca.pem")
        else:
            command += ["--insecure"]
            connection["insecure"] = True
        lines = "".join(f"{key} = {json.dumps(value)}\n" for key, value in connection.items())
        (self.work / "flwr").mkdir(exist_ok=True)
        (self.work / "flwr/config.toml").write_text(f'[superlink]\ndefault = "loopback"\n\n[superlink.loopback]\n{lines}')
        link = self._start("superlink", command)
        end = time.monotonic() + 60
        while not self._is_up():
            if link.poll() is not None or time.monotonic() > end:
                raise SystemExit(f"loopback: the SuperLink did not start: see {self.work}/superlink.log")
            time.sleep(0.2)
        if self.keys:
            for k in range(self.count):
                self._flwr("supernode", "register", self.keys / f"client-{k}.pub", "loopback", "--name", f"client-{k}")

    def _is_up(self):
        with socket.socket() as probe:
            return probe.connect_ex((HOST, self.port)) == 0

    def _start(self, name, command):
        with open(self.work / f"{name}.log", "ab") as log:
            process = subprocess.Popen(list(map(str, command)), env=self._environment, cwd=self.work, stdout=log,
                                       stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True)
        self._processes.append(process)
        return process

    def _flwr(self, *arguments):
        done = subprocess.run(["flwr", *map(str, arguments)], env=self._environment, cwd=self.work, text=True,
                              capture_output=True)
        if done.returncode != 0:
            raise SystemExit(f"loopback: flwr {arguments[0]}: {done.stdout}{done.stderr}")
        return done.stdout


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--tls", action="store_true", help="with TLS and authenticated nodes")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a key of the app's configuration")
    arguments = parser.parse_args()
    settings = {}
    for pair in arguments.set:
        key, _, value = pair.partition("=")
        try:
            settings[key] = json.loads(value)
        except json.JSONDecodeError:
            parser.error(f"--set: expected KEY=VALUE with a number, true, false or \"text\", got {pair!r}")
    with Loopback(arguments.data, arguments.work, arguments.tls) as loopback:
        for k in range(loopback.count):
            loopback.start_node(k)
        summary = loopback.wait(loopback.submit(**settings))
        for way in ("up", "down"):
            wire = sum(getattr(w, way) for w in loopback.wires.values())
            print(f"{way}: {summary[f'{way}link_bytes']} bytes of loru, {wire} over the wire")
        print(f"{summary['rounds']} rounds in {summary['wall_seconds']:.1f} s")
        print("model_sha256", summary["model_sha256"])


if __name__ == "__main__":
    main()
