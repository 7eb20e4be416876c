#!/usr/bin/env python3
"""The two ends of examples/flower over a Flower that loses answers, mixes them up and forgets: in one process, without a network.

    protocol.py ROOT    by a Python that has loru, numpy and flwr
"""
import csv
import dataclasses
import io
import itertools
import logging
import shutil
import stat
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Context, Error, Message, RecordDict
from flwr.supercore.task_identity import TaskIdentity

import loru

ROOT = Path(sys.argv.pop(1)).resolve()
sys.path.insert(0, str(ROOT / "examples/flower"))
from loru_flower import client_app, federation, messages, nodes, server_app  # noqa: E402
from loru_flower.output import Output  # noqa: E402

server_app.PAUSE = nodes.PAUSE = 0.001
logging.getLogger("flwr").setLevel(logging.ERROR)

CLIENTS, COHORT, ROUNDS, SEED = 5, 3, 7, 3
SECONDS = 0.02  # what a round waits for those that do not answer
SETTINGS = {"configuration": "federation.toml", "sample": "12", "outputs": 3, "dtype": "float32", "max-samples": 0}
ANSWERS, UNHEARD, LOST = "answers", "the broadcast does not arrive", "the update does not arrive"


class FakeGrid:
    """Nodes that have turns when they are sent a message. `fate(round, client)` says what becomes of it."""

    def __init__(self, folder, settings, fate, named=True):
        self.folder, self.settings, self.fate, self.named = folder, settings, fate, named
        self.numbers, self.heartbeats, self.replies, self.sent = itertools.count(1), itertools.count(1), {}, {}
        self.change = lambda round, client, reply: reply

    def get_nodes(self):
        until = next(self.heartbeats)
        return [SimpleNamespace(node_id=100 + k, name=f"client-{k}" if self.named else "", last_activated_at="",
                                online_until=until) for k in range(CLIENTS)]

    def push_messages(self, messages):
        return [self.push(message) for message in messages]

    def push(self, message):
        number, client = str(next(self.numbers)), message.metadata.dst_node_id - 100
        message.metadata.__dict__["_message_id"] = number
        context = Context(1, 100 + client, {"client": client, "samples": str(self.folder / f"{client}.npz"),
                                            "state": str(self.folder / f"state-{client}")}, RecordDict(), self.settings)
        if message.metadata.message_type == "query":
            self.replies[number] = client_app.who(message, context)
            return number
        round = messages.turn_of(message).round
        self.sent.setdefault(round, []).append(client)
        fate = self.fate(round, client)
        if fate == UNHEARD:
            return number
        if isinstance(fate, int):  # Flower answers itself, with an error of this code
            self.replies[number] = Message(Error(fate, "none"), reply_to=message)
            return number
        try:
            reply = client_app.train(message, context)
        except Exception as error:  # as Flower does
            reply = Message(Error(2, str(error)), reply_to=message)
        if fate == ANSWERS:
            self.replies[number] = self.change(round, client, reply)
        return number

    def pull_messages(self, numbers):
        return [self.replies.pop(number) for number in numbers if number in self.replies]


class Protocol(unittest.TestCase):
    def setUp(self):
        TaskIdentity.run_id = TaskIdentity.node_id = TaskIdentity.task_id = 1
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.addCleanup(setattr, federation, "APP", federation.APP)
        federation.APP = self.folder
        draw = np.random.default_rng(1)
        self.samples = []
        for k in range(CLIENTS):
            y = draw.integers(0, 3, 12 + 3 * k)
            x = (draw.normal(size=(len(y), 12)) + y[:, None]).astype(np.float32)
            self.samples.append((x, y))
            np.savez(self.folder / f"{k}.npz", x=x, y=y)
        self.configure("fedloru")

    def configure(self, algorithm, top="", own=""):
        """`own` are further keys of [federation], `top` those of tables that are not here yet."""
        text = f"""
            seed = {SEED}
            {top}
            [data]
            name = "safetensors"
            [model]
            name = "mlp"
            [lowrank]
            rank = 3
            [algorithm]
            name = "{algorithm}"
            tau = 2
            [federation]
            clients = {CLIENTS}
            cohort = {COHORT}
            rounds = {ROUNDS}
            {own}
            [client]
            epochs = 1
            batch = 8
            """
        (self.folder / "federation.toml").write_text(text)

    def deploy(self, fate=lambda round, client: ANSWERS, rounds=ROUNDS, resume=False, named=True, change=None,
               test=""):
        """The rows of rounds.csv and the digest of the model. Who was sent a broadcast in a round is in self.sent."""
        grid = FakeGrid(self.folder, SETTINGS, fate, named)
        if change:
            grid.change = change
        own = dataclasses.replace(federation.Federation.of(SETTINGS), rounds=rounds)
        deployment = server_app.Deployment(grid, own, Output(self.folder / "run"), SECONDS)
        deployment.resume() if resume else deployment.begin()
        deployment.run(0, test)
        self.sent = grid.sent
        with open(self.folder / "run/rounds.csv", newline="") as file:
            return list(csv.DictReader(file)), deployment._server.model.sha256

    def of_updates(self, rows, min_updates=1):
        """The digest of the model that the updates of these rounds make, without Flower: a turn that was lost never was."""
        own = federation.Federation.of(SETTINGS)
        server, clients = own.server(), [loru.Client(own.model) for _ in range(CLIENTS)]
        for row in rows:
            server.begin_round()
            answered = [int(k) for k in row["clients"].split()]
            for k in self.sent.get(int(row["round"]), []):
                broadcast = server.broadcast(k)
                if k in answered and len(answered) >= min_updates:
                    server.receive(clients[k].answer(broadcast, *self.samples[k]))
            if len(answered) >= min_updates:
                server.finish_round()
        return server.model.sha256

    def count(self, rows, name):
        return sum(int(row[name]) for row in rows)

    def faulty(self, round, client):
        """Of each kind of loss some, in rounds before and after merges; never all of a cohort."""
        answers = [k for k in loru.sample_cohort(SEED, round, CLIENTS, COHORT)][round % COHORT]
        return ANSWERS if client == answers else (ANSWERS, UNHEARD, LOST)[(round + client) % 3]

    def check(self, **how):
        rows, digest = self.deploy(**how)
        self.assertEqual(digest, self.of_updates(rows))
        self.assertEqual(len(rows), ROUNDS)
        return rows

    def test_every_algorithm(self):
        for name in loru.algorithms():
            with self.subTest(algorithm=name):
                self.configure(name)
                rows = self.check(fate=self.faulty)
                self.assertGreater(self.count(rows, "dropped"), 3)
                self.assertEqual(self.count(rows, "rejected"), 0)

    def test_codecs_and_ranks_of_clients(self):
        for algorithm, top in (("fedavg", 'codec.uplink = "top_k"'), ("fedloru", 'codec.downlink = "int8"'),
                               ("fedavg", 'codec.downlink = "top_k"\ncodec.keep = 0.2'),
                               ("hetlora", 'ranks.rule = "fixed"\nranks.values = [1, 2, 3]'),
                               ("fedlora", 'ranks.rule = "fixed"\nranks.values = [3, 2]')):
            with self.subTest(top=top):
                self.configure(algorithm, top)
                self.check(fate=self.faulty)

    def test_nodes_that_are_asked(self):
        self.check(named=False)

    def test_which_node_is_which_client(self):
        said = {1: 0, 2: 0, 3: 1, 4: CLIENTS, 5: -1, 6: "0", 7: None, 8: 2}
        infos = [SimpleNamespace(node_id=node, name="", last_activated_at=str(node), online_until=9.0) for node in said]
        infos += [SimpleNamespace(node_id=9, name="client-1", last_activated_at="0", online_until=9.0),
                  SimpleNamespace(node_id=10, name="client-99", last_activated_at="0", online_until=9.0)]

        class Grid(FakeGrid):
            def get_nodes(self):
                return infos

            def push(self, message):
                number, client = str(next(self.numbers)), said[message.metadata.dst_node_id]
                message.metadata.__dict__["_message_id"] = number
                content = RecordDict({} if client is None else {"client": ConfigRecord({"client": client})})
                self.replies[number] = Message(content, reply_to=message)
                return number

        there = nodes.Nodes(Grid(self.folder, SETTINGS, None), CLIENTS)
        self.assertEqual(there.present(), {0: 2, 1: 9, 2: 8})  # the last to come, and one with a name before one without
        there.silent([2, 9])
        self.assertEqual(there.present(), {0: 1, 1: 3, 2: 8})
        for info in infos:
            info.online_until += 1  # a heartbeat
        self.assertEqual(there.present(), {0: 2, 1: 9, 2: 8})
        del infos[1]
        self.assertEqual(there.present(), {0: 1, 1: 9, 2: 8})

    def test_a_server_that_goes_on(self):
        for algorithm in ("fedloru", "scaffold"):
            self.configure(algorithm)
            whole, digest = self.deploy(self.faulty)
            for stop in (1, 4):
                with self.subTest(algorithm=algorithm, stop=stop):
                    self.deploy(self.faulty, rounds=stop)
                    self.assertEqual(self.deploy(self.faulty, resume=True)[1], digest)
        with self.assertRaises(loru.Error):
            self.configure("fedavg")
            self.deploy(resume=True)
        self.configure("scaffold")
        with self.assertRaisesRegex(loru.ConfigError, f"^resume: expected a run with rounds to go, got .* all {ROUNDS}$"):
            self.deploy(resume=True)
        shutil.rmtree(self.folder / "run")
        with self.assertRaisesRegex(loru.ConfigError, "resume: expected"):
            self.deploy(resume=True)

    def test_a_node_that_lost_its_folder(self):
        """Turns are lost until the next merge brings the weights."""
        victim = loru.sample_cohort(SEED, 3, CLIENTS, COHORT)[0]

        def fate(round, client):
            if round == 4:
                shutil.rmtree(self.folder / f"state-{victim}", ignore_errors=True)
            return ANSWERS

        rows = self.check(fate=fate)
        asked = [round for round in range(4, ROUNDS + 1) if victim in loru.sample_cohort(SEED, round, CLIENTS, COHORT)]
        came = [round for round in asked if str(victim) in rows[round - 1]["clients"].split()]
        self.assertGreater(len(asked), len(came))
        self.assertTrue(came and came[-1] == asked[-1], (asked, came))

    def test_what_flower_answers_for_a_node(self):
        """The node is away then until there is a heartbeat; after an error of its own it is not."""
        victim = loru.sample_cohort(SEED, 1, CLIENTS, COHORT)[0]

        class Still(FakeGrid):
            def get_nodes(self):
                return [SimpleNamespace(**{**vars(info), "online_until": 9.0}) for info in super().get_nodes()]

        for code in (2, 3, 4, 5):
            with self.subTest(code=code):
                grid = Still(self.folder, SETTINGS, lambda round, client: code if (round, client) == (1, victim) else ANSWERS)
                output = Output(self.folder / f"run-{code}")
                deployment = server_app.Deployment(grid, federation.Federation.of(SETTINGS), output, SECONDS)
                deployment.begin()
                deployment.run(0, "")
                self.assertEqual([row["dropped"] for row in output.rows], [1] + [0] * (ROUNDS - 1))
                self.assertEqual(any(victim in grid.sent[round] for round in range(2, ROUNDS + 1)), code == 2)

    def test_an_update_of_another_client(self):
        first = {}

        def change(round, client, reply):
            if round == 2:
                first.setdefault("update", messages.data_of(reply))
                reply.content = messages.records(first["update"])
            return reply

        rows = self.check(change=change)
        self.assertEqual([int(row["rejected"]) for row in rows], [0, COHORT - 1] + [0] * (ROUNDS - 2))

    def test_bytes_that_are_no_update(self):
        deep = b"[" * 100_000
        infinite = b'{"__metadata__":{"client":Infinity}}'
        data = [*(len(text).to_bytes(8, "little") + text for text in (infinite, deep)), b"", b"x" * 7, bytes(9), b"\xff" * 100]
        records = [RecordDict(), RecordDict({"message": ConfigRecord({"message": b"x"})}), RecordDict({"message": ArrayRecord()})]
        sent = []

        def change(round, client, reply):
            if client == 1:
                reply.content = messages.records(data[len(sent) % len(data)])
                sent.append(round)
            if client == 2:
                reply.content = records[round % len(records)]
            return reply

        rows, digest = self.deploy(change=change)
        self.assertEqual(digest, self.of_updates(rows))
        self.assertEqual(self.count(rows, "rejected"), sum(k in (1, 2) for sent in self.sent.values() for k in sent))

    def test_rounds_of_too_few_updates(self):
        """Nothing changes then, but the weights of an update that arrived are those that the client has."""
        self.configure("pfedloru", own="min_updates = 2")

        def fate(round, client):  # rounds 3 and 5 come after merges, and the one client that answers is drawn again
            last = loru.sample_cohort(SEED, round, CLIENTS, COHORT)[-1]
            return LOST if round in (3, 5) and client != last else ANSWERS

        rows, digest = self.deploy(fate)
        self.assertEqual([int(row["round"]) for row in rows if not row["train_loss"]], [3, 5])
        self.assertEqual(digest, self.of_updates(rows, 2))

    def test_what_is_refused(self):
        for keys, text in (({"own": "stop_at = 0.5"}, "federation.stop_at: expected None for a server over messages, got 0.5"),
                           ({"own": "keep_best = true"}, "federation.keep_best: expected False"),
                           ({"top": 'ranks.rule = "tiers"\nranks.values = [1, 2]'}, "ranks.rule: expected same or fixed"),
                           ({"own": "warmup_rounds = 1"}, "federation.warmup_rounds: expected 0")):
            self.configure("fedlora", **keys)
            with self.assertRaisesRegex(loru.ConfigError, text):
                federation.Federation.of(SETTINGS).server()
        self.configure("fedlora")
        for sample in ("1,8,8", "", "x12", "12x"):
            with self.assertRaisesRegex(loru.ConfigError, f"^sample: expected extents such as 1x8x8, got {sample}$"):
                federation.Federation.of({**SETTINGS, "sample": sample})

    def test_an_earlier_run_is_kept_until_there_are_nodes(self):
        self.deploy(rounds=2)
        folder = self.folder / "run"
        before = {path.name: path.read_bytes() for path in folder.iterdir()}

        class Empty(FakeGrid):
            def get_nodes(self):
                return []

        own = federation.Federation.of(SETTINGS)
        deployment = server_app.Deployment(Empty(self.folder, SETTINGS, None), own, Output(folder), SECONDS)
        deployment.begin()
        with self.assertRaisesRegex(TimeoutError, f"nodes: expected {CLIENTS}"):
            deployment.run(0, "")
        self.assertEqual({path.name: path.read_bytes() for path in folder.iterdir()}, before)
        (folder / "summary.json").unlink()  # as if it had been stopped
        with self.assertRaisesRegex(loru.ConfigError, "expected resume=true or another out, got a run that was stopped$"):
            self.deploy()
        self.assertEqual(len(self.deploy(resume=True)[0]), ROUNDS)
        self.assertEqual(len(self.deploy(rounds=1)[0]), 1)

    def test_what_a_run_goes_on_from(self):
        rows, digest = self.deploy()
        folder = self.folder / "run"
        (folder / "summary.json").unlink()
        (folder / "rounds.csv").unlink()  # the checkpoint has the rounds
        self.assertEqual(self.deploy(resume=True), (rows, digest))
        self.configure("fedloru", own="min_updates = 2")
        with self.assertRaisesRegex(loru.ConfigError, "^resume: federation.min_updates: the run has 1, got 2$"):
            self.deploy(resume=True)
        self.configure("fedloru")
        content = (folder / "checkpoint.bin").read_bytes()
        for at in (0, 35, 60, 2000, len(content) - 1):
            broken = bytearray(content)
            broken[at] ^= 0x20
            (folder / "checkpoint.bin").write_bytes(broken)
            with self.assertRaisesRegex(loru.DataError, "^resume: .*checkpoint.bin: expected what a run wrote"):
                self.deploy(resume=True)

    def test_a_run_without_updates_fails(self):
        with self.assertRaisesRegex(loru.Error, "^no round folded an update; the lines above say why$"):
            self.deploy(lambda round, client: LOST, rounds=2)
        self.assertTrue((self.folder / "run/summary.json").exists())

    def test_the_most_samples(self):
        """Client k has 12 + 3k."""
        self.addCleanup(SETTINGS.update, {"max-samples": 0})
        SETTINGS["max-samples"] = 20
        rows, digest = self.deploy()
        self.assertEqual(digest, self.of_updates(rows))
        self.assertEqual({k for row in rows for k in row["clients"].split()}, {"0", "1", "2"})
        self.assertEqual(self.count(rows, "rejected"), sum(k > 2 for sent in self.sent.values() for k in sent))
        with self.assertRaisesRegex(loru.ConfigError, "server: max_samples: expected 1 .. 536870911, got -1"):
            SETTINGS["max-samples"] = -1
            federation.Federation.of(SETTINGS).server()

    def test_tests(self):
        (x, y), array = self.samples[0], io.BytesIO()
        np.save(array, x)
        wrong = {"none.npz": None, "text.npz": lambda path: path.write_text("text"), "y.npz": lambda path: np.savez(path, x=x),
                 "array.npz": lambda path: path.write_bytes(array.getvalue())}
        for name, write in wrong.items():
            path = self.folder / name
            if write:
                write(path)
            with self.subTest(name=name), self.assertRaisesRegex(loru.ConfigError, f"^test: .*{name}: expected an .npz"):
                self.deploy(test=str(path))
        np.savez(self.folder / "other.npz", x=x[:, :5], y=y)
        with self.assertRaisesRegex(loru.Error, "^x: expected samples of shape"):
            self.deploy(test=str(self.folder / "other.npz"))
        self.assertFalse((self.folder / "run/rounds.csv").exists())
        self.assertTrue(all(float(row["test_loss"]) > 0 for row in self.deploy(test=str(self.folder / "0.npz"))[0]))

    def test_turns_that_no_server_sends(self):
        good = {"federation": "0" * 32, "round": 2, "arrived": 1, "folded": 0, "whole": True}
        for name, value in (("federation", "../" + "0" * 29), ("federation", 3), ("federation", "0" * 32 + "\n"),
                            ("round", "../x"), ("round", True), ("round", -1), ("arrived", 0.5), ("folded", "/etc"),
                            ("folded", 2**32), ("whole", 1)):
            message = Message(RecordDict({"turn": ConfigRecord({**good, name: value})}), 1, "train")
            with self.subTest(name=name, value=value), self.assertRaisesRegex(ValueError, f"^turn: {name}: expected .*, got"):
                messages.turn_of(message)
        self.assertEqual(messages.turn_of(Message(RecordDict({"turn": ConfigRecord(good)}), 1, "train")), messages.Turn(**good))

    def test_broken_files_of_a_node(self):
        """They count as lost, as those of a node whose folder is gone."""
        victim = loru.sample_cohort(SEED, 3, CLIENTS, COHORT)[0]
        broken = []

        def fate(round, client):
            if round == 4:
                for file in (self.folder / f"state-{victim}").glob("*/*.npz"):
                    file.write_bytes(file.read_bytes()[:len(broken) * 700])
                    broken.append(file)
            return ANSWERS

        rows = self.check(fate=fate)
        self.assertTrue(broken)
        asked = [round for round in range(4, ROUNDS + 1) if victim in loru.sample_cohort(SEED, round, CLIENTS, COHORT)]
        came = [round for round in asked if str(victim) in rows[round - 1]["clients"].split()]
        self.assertTrue(came and came[-1] == asked[-1], (asked, came))

    def test_keys(self):
        """Private ones are for their owner alone, and no file is written over."""
        folder, program = self.folder / "keys", ROOT / "examples/flower/keys.py"
        command = [sys.executable, str(program), str(folder), "2", "127.0.0.1"]
        subprocess.run(command, check=True)
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
        self.assertEqual({name for name, mode in modes.items() if mode == 0o600}, {"server.key", "client-0", "client-1"})
        for path in folder.iterdir():
            if path.name != "client-1":
                path.unlink()
        before = (folder / "client-1").read_bytes()
        done = subprocess.run(command, capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stderr), (1, f"keys: {folder}: expected a folder without keys, got client-1\n"))
        self.assertEqual([path.name for path in folder.iterdir()], ["client-1"])
        self.assertEqual((folder / "client-1").read_bytes(), before)

    def test_settings_of_the_loopback(self):
        for text in ("rounds", "dtype=float32"):
            done = subprocess.run([sys.executable, str(ROOT / "examples/flower/loopback.py"), "data", "work", "--set", text],
                                  capture_output=True, text=True, cwd=self.folder)
            self.assertEqual(done.returncode, 2)
            self.assertRegex(done.stderr, f"error: --set: expected KEY=VALUE with .*, got '{text}'\n$")
        self.assertFalse((self.folder / "work").exists())

    def test_what_nodes_say_is_one_short_line(self):
        self.assertEqual(messages.shown("a\nb\x1b[0m\u2028"), "a\\nb\\x1b[0m\\u2028")
        self.assertLessEqual(len(messages.shown("x" * 10_000)), 300)


if __name__ == "__main__":
    unittest.main()
