"""The server: each round the broadcasts go out to the nodes of the cohort that are there, and updates come in until all have
answered or time is up."""

import logging
import time
import uuid
import zipfile
from dataclasses import asdict, dataclass

import numpy as np
from flwr.app import Context, Message
from flwr.serverapp import Grid, ServerApp

import loru

from .federation import Federation
from .messages import Turn, broadcast_message, data_of, shown
from .nodes import PAUSE, Nodes
from .output import Output

LOG = logging.getLogger("flwr")

# Errors by which Flower itself answers for a node that did not: the message or the reply expired, no heartbeat came.
UNANSWERED = (3, 4, 5)

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    config = context.run_config
    deployment = Deployment(grid, Federation.of(config), Output(config["out"]), config["round-seconds"])
    deployment.resume() if config["resume"] else deployment.begin()
    deployment.run(config["nodes"], config["test"])


@dataclass
class Standing:
    """What the server knows of a client.

    arrived  the last round whose update came
    folded   the last round whose update became part of the model
    merges   the merges that its weights have had
    told     those that they have had if its last broadcast arrived
    """

    arrived: int = 0
    folded: int = 0
    merges: int = 0
    told: int = 0

    def turn(self, federation: str, round: int, merges: int) -> Turn:
        """The turn of a round after so many merges. A client of unknown weights is sent all that merges changed."""
        unsure = self.told != self.merges and self.merges != merges
        return Turn(federation, round, self.arrived, self.folded, self.merges == 0 or unsure)


class Deployment:
    def __init__(self, grid: Grid, federation: Federation, output: Output, round_seconds: float):
        self._grid, self._federation, self._output, self._seconds = grid, federation, output, round_seconds
        self._server = federation.server()
        self._nodes = Nodes(grid, federation.clients)
        self._name = uuid.uuid4().hex
        self._standings = {}

    def begin(self) -> None:
        """Begins at round 1. Nothing of an earlier run is removed before run() has its nodes."""
        self._output.require_no_stopped_run()

    def resume(self) -> None:
        """Goes on after the last round that the folder has."""
        numbers = self._output.read_state(self._server, self._federation.configuration)
        if self._output.finished and self._server.round >= self._federation.rounds:
            raise loru.ConfigError(f"resume: expected a run with rounds to go, got one that has all {self._server.round}")
        self._name = numbers["federation"]
        self._standings = {int(k): Standing(**values) for k, values in numbers["clients"].items()}
        LOG.info("going on after round %d", self._server.round)

    def run(self, nodes: int, test: str) -> None:
        begin = time.monotonic()
        if test:
            x, y = samples_of(test)
            self._server.model.evaluate(x[:1], y[:1])
        expected = nodes or self._federation.clients
        present = self._nodes.wait(lambda there: len(there) >= expected, self._seconds)
        if len(present) < expected:
            raise TimeoutError(f"nodes: expected {expected} within {self._seconds} s, got {len(present)}")
        if self._server.round == 0:
            self._output.clear()
        while self._server.round < self._federation.rounds:
            row = self._round()
            every, round = self._federation.eval_every, row["round"]
            if every > 0 and (round % every == 0 or round == self._federation.rounds):
                row.update(self._tested(test))
            self._output.add(row)
            self._output.write_state(self._server, {
                "federation": self._name, "configuration": self._federation.configuration,
                "clients": {k: asdict(standing) for k, standing in self._standings.items()}})
            LOG.info("round %d: %d of %d clients, loss %s", round, row["updates"], row["cohort"], row.get("train_loss"))
        self._finish(time.monotonic() - begin)
        if all(row["train_loss"] == "" for row in self._output.rows):
            raise loru.Error("no round folded an update; the lines above say why")

    def _round(self) -> dict:
        """A round. One with too few updates changes nothing."""
        begin = time.monotonic()
        self._server.begin_round()
        round = self._server.round
        cohort = self._federation.cohort_of(round)
        present = self._nodes.wait(lambda there: any(k in there for k in cohort), self._seconds)
        there = [k for k in cohort if k in present]
        row = {"round": round, "cohort": len(cohort), "absent": len(cohort) - len(there), "dropped": 0, "rejected": 0,
               "uplink_bytes": 0, "downlink_bytes": 0}
        sent, end = {}, time.monotonic() + self._seconds
        for client in there:
            self._send(client, present[client], end, sent, row)
        answered = self._collect(sent, end, row)
        if len(answered) >= self._federation.min_updates:
            row["train_loss"] = self._server.finish_round()
            for client in answered:
                self._standings[client].folded = round
        else:
            self._server.drop_updates()
        row.update(updates=len(answered), clients=" ".join(map(str, sorted(answered))), seconds=time.monotonic() - begin)
        return row

    def _send(self, client: int, node: int, end: float, sent: dict, row: dict) -> None:
        """Sends the client's broadcast to its node; `sent` gets client and node by the number of the message."""
        standing = self._standings.setdefault(client, Standing())
        turn = standing.turn(self._name, self._server.round, self._server.merges)
        broadcast = self._server.broadcast(client)
        message = broadcast_message(broadcast, turn, node, max(1.0, end - time.monotonic()))
        numbers = [number for number in self._grid.push_messages([message]) if number]
        if not numbers:
            self._warn(client, "Flower did not take its broadcast")
            self._server.lost(client)
            standing.told = standing.merges
            row["dropped"] += 1
            return
        standing.told = self._server.merges
        sent[numbers[0]] = client, node
        row["downlink_bytes"] += len(broadcast)

    def _collect(self, sent: dict, end: float, row: dict) -> list:
        """Folds what comes back until all have answered or time is up. Returns the clients whose updates were folded."""
        answered, silent, late = [], [], False
        while sent and not late:
            late = time.monotonic() >= end
            for reply in self._grid.pull_messages(list(sent)):
                if reply.metadata.reply_to_message_id not in sent:
                    continue
                client, node = sent.pop(reply.metadata.reply_to_message_id)
                if reply.has_error():
                    if reply.error.code in UNANSWERED:
                        silent.append(node)
                    self._warn(client, reply.error.reason)
                    row["dropped"] += 1
                    continue
                try:
                    row["uplink_bytes"] += self._receive(client, reply)
                    answered.append(client)
                except (loru.Error, LookupError, TypeError, ValueError) as error:
                    self._warn(client, error)
                    row["rejected"] += 1
            if sent and not late:
                time.sleep(PAUSE)
        for client, _ in sent.values():
            self._warn(client, f"no answer in {self._seconds:g} s")
        row["dropped"] += len(sent)
        self._nodes.silent(silent + [node for _, node in sent.values()])
        return answered

    def _receive(self, client: int, reply: Message) -> int:
        """Folds an update, and returns the bytes of it."""
        update = data_of(reply)
        self._server.receive(update, client)
        standing = self._standings[client]
        standing.arrived, standing.merges = self._server.round, standing.told
        return len(update)

    def _warn(self, client: int, what) -> None:
        LOG.warning("round %d: client %d: %s", self._server.round, client, shown(what))

    def _tested(self, test: str) -> dict:
        if not test:
            return {}
        result = self._server.model.evaluate(*samples_of(test))
        return {f"test_{name}": value for name, value in result.items()}

    def _finish(self, seconds: float) -> None:
        model, rows = self._server.model, self._output.rows
        summary = {"algorithm": model.algorithm, "model": model.name, "rounds": self._server.round,
                   "clients": self._federation.clients, "cohort": self._federation.cohort, "seed": self._federation.seed,
                   "merges": self._server.merges, "updates": sum(int(row["updates"]) for row in rows),
                   "uplink_bytes": sum(int(row["uplink_bytes"]) for row in rows),
                   "downlink_bytes": sum(int(row["downlink_bytes"]) for row in rows),
                   "wall_seconds": seconds, "model_sha256": model.sha256}
        self._output.finish(model, summary)
        LOG.info("model_sha256 %s", model.sha256)


def samples_of(path: str) -> tuple:
    """x and y of an .npz. Throws loru.ConfigError for any other file."""
    try:
        with np.load(path) as samples:
            return samples["x"], samples["y"]
    except (OSError, EOFError, LookupError, TypeError, ValueError, zipfile.BadZipFile) as error:
        raise loru.ConfigError(f"test: {path}: expected an .npz of x and y, got: {error}") from error
