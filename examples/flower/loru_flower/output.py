"""The server's folder: rounds.csv, summary.json and model.safetensors, and what a run goes on from. `federate ls` and `report` do
not read it: nodes have no data that federate knows."""

import csv
import hashlib
import json
import os
from pathlib import Path

import loru

# cohort = updates + absent + dropped + rejected: clients without a node, those that did not answer, updates that were refused
COLUMNS = ("round", "cohort", "train_loss", "test_accuracy", "test_loss", "uplink_bytes", "downlink_bytes", "seconds", "updates",
           "absent", "dropped", "rejected", "clients")


class Output:
    def __init__(self, folder):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.rows = []

    def require_no_stopped_run(self) -> None:
        """Throws loru.ConfigError where a run was stopped that may go on: a new one would take its place."""
        if self._state.exists() and not self.finished:
            raise loru.ConfigError(f"out: {self.folder}: expected resume=true or another out, got a run that was stopped")

    @property
    def finished(self) -> bool:
        return (self.folder / "summary.json").exists()

    def clear(self) -> None:
        """A run begins, and goes on from nothing."""
        for name in (self._state.name, "rounds.csv", "summary.json", "model.safetensors"):
            (self.folder / name).unlink(missing_ok=True)

    def add(self, row: dict) -> None:
        """A round has ended."""
        self.rows.append({name: row.get(name, "") for name in COLUMNS})
        self._write_rows()

    def _write_rows(self) -> None:
        with open(self.folder / "rounds.csv.part", "w", newline="") as file:
            table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            table.writeheader()
            table.writerows(self.rows)
        os.replace(file.name, self.folder / "rounds.csv")

    def write_state(self, server: loru.Server, numbers: dict) -> None:
        """All that the rounds to come depend on, and the rounds so far: SHA-256 of what follows, the bytes of the JSON, the JSON,
        the server's state."""
        text = json.dumps({**numbers, "rounds": self.rows}).encode()
        content = len(text).to_bytes(8, "little") + text + server.save()
        part = self.folder / "checkpoint.part"
        with open(part, "wb") as file:
            file.write(hashlib.sha256(content).digest() + content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(self._state)

    def read_state(self, server: loru.Server, configuration: dict) -> dict:
        """Throws loru.ConfigError where there is nothing to go on from and for a run of another configuration, loru.DataError for
        a file that is broken."""
        if not self._state.exists():
            raise loru.ConfigError(f"resume: expected {self._state}, which a run writes, got none")
        content = self._state.read_bytes()
        digest, content = content[:32], content[32:]
        if hashlib.sha256(content).digest() != digest:
            raise loru.DataError(f"resume: {self._state}: expected what a run wrote, got a broken file")
        end = 8 + int.from_bytes(content[:8], "little")
        numbers = json.loads(content[8:end])
        before = numbers["configuration"]
        for name in sorted(before.keys() | configuration.keys()):
            if before.get(name) != configuration.get(name):
                raise loru.ConfigError(f"resume: {name}: the run has {before.get(name)}, got {configuration.get(name)}")
        server.restore(content[end:])
        self.rows = numbers["rounds"]
        self._write_rows()
        return numbers

    def finish(self, model: loru.Model, summary: dict) -> None:
        model.save(self.folder / "model.safetensors")
        part = self.folder / "summary.part"
        part.write_text(json.dumps(summary, indent=2) + "\n")
        part.replace(self.folder / "summary.json")

    @property
    def _state(self) -> Path:
        return self.folder / "checkpoint.bin"
