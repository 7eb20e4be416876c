"""The server's folder: rounds.csv, summary.json and model.safetensors as federate has them, and what a run goes on from."""

import csv
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

    def clear(self) -> None:
        """A run begins, and goes on from nothing."""
        for name in (self._state.name, "rounds.csv", "summary.json", "model.safetensors"):
            (self.folder / name).unlink(missing_ok=True)

    def add(self, row: dict) -> None:
        """A round has ended."""
        self.rows.append({name: row.get(name, "") for name in COLUMNS})
        with open(self.folder / "rounds.csv.part", "w", newline="") as file:
            table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            table.writeheader()
            table.writerows(self.rows)
        os.replace(file.name, self.folder / "rounds.csv")

    def write_state(self, server: loru.Server, numbers: dict) -> None:
        """All that the rounds to come depend on."""
        state = server.save()
        part = self.folder / "checkpoint.part"
        with open(part, "wb") as file:
            text = json.dumps(numbers).encode()
            file.write(len(text).to_bytes(8, "little") + text + state)
            file.flush()
            os.fsync(file.fileno())
        part.replace(self._state)

    def read_state(self, server: loru.Server) -> dict:
        """Throws loru.ConfigError where there is nothing to go on from, loru.DataError for a state of another federation."""
        if not self._state.exists():
            raise loru.ConfigError(f"resume: expected {self._state}, which a run writes, got none")
        content = self._state.read_bytes()
        end = 8 + int.from_bytes(content[:8], "little")
        server.restore(content[end:])
        numbers = json.loads(content[8:end])
        with open(self.folder / "rounds.csv", newline="") as file:
            self.rows = [row for row in csv.DictReader(file) if int(row["round"]) <= server.round]
        return numbers

    def finish(self, model: loru.Model, summary: dict) -> None:
        model.save(self.folder / "model.safetensors")
        part = self.folder / "summary.part"
        part.write_text(json.dumps(summary, indent=2) + "\n")
        part.replace(self.folder / "summary.json")

    @property
    def _state(self) -> Path:
        return self.folder / "checkpoint.bin"
