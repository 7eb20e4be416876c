"""The two ends over bytes: with every algorithm the model of a run, to the last bit."""
import json

import numpy as np

import support
from support import Case

import loru

CLIENTS, COHORT, ROUNDS, SEED = 5, 2, 4, 3
TABLES = {"lowrank": {"rank": 3, "alpha": 3}, "client": {"epochs": 1, "batch": 8},
          "optimizer": {"learning_rate": 0.05, "momentum": 0.9}}


def samples(count, seed):
    draw = np.random.default_rng(seed)
    y = draw.integers(0, 3, count)
    return (draw.normal(size=(count, 12)) + y[:, None]).astype(np.float32), y


def model(algorithm="fedloru", seed=SEED, **tables):
    return loru.Model("mlp", (12,), 3, algorithm, seed, **{**TABLES, **tables})


def parsed(message):
    """Header and data of a message, which is a safetensors file."""
    length = int.from_bytes(message[:8], "little")
    return json.loads(message[8:8 + length]), message[8 + length:]


def message_of(header, data):
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data


def with_tensor(message, name, array):
    """The message with one more tensor."""
    header, data = parsed(message)
    header[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": [len(data), len(data) + array.nbytes]}
    return message_of(header, data + array.astype(np.float32).tobytes())


def with_metadata(message, **changed):
    """The message with other metadata; None takes a key away."""
    header, data = parsed(message)
    told = {**header["__metadata__"], **changed}
    header["__metadata__"] = {key: value for key, value in told.items() if value is not None}
    return message_of(header, data)


def trained(algorithm, x, y, parts, ranks=None, **tables):
    """The server after all rounds, and the bytes that went up and down in each. Each client's state goes out and in
    again before its turn."""
    start = model(algorithm, **tables)
    server = loru.Server(start, clients=CLIENTS, ranks=ranks)
    clients = [loru.Client(start) for _ in range(CLIENTS)]
    sent = []
    for number in range(1, ROUNDS + 1):
        server.begin_round()
        up = down = 0
        for k in loru.sample_cohort(SEED, number, CLIENTS, COHORT):
            broadcast = server.broadcast(k)
            clients[k].state = clients[k].state
            update = clients[k].answer(broadcast, x[parts[k]], y[parts[k]])
            down, up = down + len(broadcast), up + len(update)
            server.receive(update)
        server.finish_round()
        sent.append((up, down))
    return server, sent


class Ends(Case):
    @classmethod
    def setUpClass(cls):
        cls.x, cls.y = samples(90, 1)
        cls.parts = loru.partition(cls.y, clients=CLIENTS, seed=SEED)

    def run_of(self, algorithm, **tables):
        loru.save_arrays("train.safetensors", self.x, self.y)
        x, y = samples(20, 2)
        loru.save_arrays("test.safetensors", x, y)
        return loru.run({**TABLES, "seed": SEED, "model": {"name": "mlp"}, "algorithm": algorithm,
                         "data": {"name": "safetensors", "train": "train.safetensors", "test": "test.safetensors"},
                         "federation": {"clients": CLIENTS, "cohort": COHORT, "rounds": ROUNDS}, **tables})

    def check(self, algorithm, ranks=None, **tables):
        server, sent = trained(algorithm, self.x, self.y, self.parts, ranks, **tables)
        run = self.run_of(algorithm, **({"ranks": {"rule": "fixed", "values": ranks}} if ranks else {}), **tables)
        if algorithm["name"] == "fedsa_lora":  # a run tests and saves its clients' mean B, which servers never see
            shared = {name for name in server.model.state_dict() if not name.endswith(".lora_B.weight")}
            for name in shared:
                np.testing.assert_array_equal(server.model.state_dict()[name], run.model.state_dict()[name])
        else:
            self.assertEqual(server.model.sha256, run.model.sha256)
        self.assertEqual([up for up, _ in sent], list(run.rows["uplink_bytes"]))
        self.assertEqual([down for _, down in sent], list(run.rows["downlink_bytes"]))
        self.assertEqual(server.merges, run.summary["merges"])
        return server, run

    def test_every_algorithm(self):
        self.assertGreaterEqual(len(loru.algorithms()), 21)
        for name in loru.algorithms():
            with self.subTest(algorithm=name):
                self.check({"name": name})

    def test_merges_and_codecs(self):
        server, _ = self.check({"name": "fedloru", "tau": 2})
        self.assertEqual(server.merges, 2)
        self.check({"name": "fedavg"}, codec={"uplink": "int8"})
        self.check({"name": "fedloru", "tau": 2}, codec={"uplink": "top_k", "downlink": "top_k", "keep": 0.2})

    def test_ranks_of_their_own(self):
        for algorithm in ("hetlora", "flexlora", "flora", "raflora", "fedhm", "mfedloru", "fedloru", "ffa_lora"):
            with self.subTest(algorithm=algorithm):
                self.check({"name": algorithm}, ranks=[1, 3, 2, 3, 1])

    def test_a_server_that_goes_on(self):
        whole, _ = trained("fedloru", self.x, self.y, self.parts)
        server, clients = loru.Server(model(), clients=CLIENTS), [loru.Client(model()) for _ in range(CLIENTS)]
        for number in range(1, ROUNDS + 1):
            server.begin_round()
            for k in loru.sample_cohort(SEED, number, CLIENTS, COHORT):
                server.receive(clients[k].answer(server.broadcast(k), self.x[self.parts[k]], self.y[self.parts[k]]))
            server.finish_round()
            saved, server = server.save(), loru.Server(model(), clients=CLIENTS)
            server.restore(saved)
        self.assertEqual(server.round, ROUNDS)
        self.assertEqual(server.model.sha256, whole.model.sha256)

    def test_models_by_name_and_by_configuration(self):
        by_name = loru.Server("mlp", "fedloru", SEED, sample=(12,), outputs=3, **TABLES)
        whole = {"seed": SEED, "model": {"name": "mlp"}, "algorithm": {"name": "fedloru"}, **TABLES}
        by_table = loru.Server({"name": "mlp"}, {"name": "fedloru"}, SEED, sample=(12,), outputs=3, **TABLES)
        by_configuration = loru.Model.from_configuration(whole, (12,), 3)
        self.assertEqual(len({m.sha256 for m in (by_name.model, by_table.model, by_configuration, model())}), 1)
        self.assertNotEqual(model(seed=4).sha256, model().sha256)

    def test_a_client_with_state(self):
        whole, _ = trained("scaffold", self.x, self.y, self.parts)
        server = loru.Server(model("scaffold"), clients=CLIENTS)
        states, models = [b""] * CLIENTS, [model("scaffold") for _ in range(CLIENTS)]
        for number in range(1, ROUNDS + 1):
            server.begin_round()
            for k in loru.sample_cohort(SEED, number, CLIENTS, COHORT):
                client = loru.Client(models[k])
                client.state = states[k]
                server.receive(client.answer(server.broadcast(k), self.x[self.parts[k]], self.y[self.parts[k]]))
                states[k], models[k] = client.state, client.model
            server.finish_round()
        self.assertTrue(any(states))
        self.assertEqual(server.model.sha256, whole.model.sha256)

    def test_what_is_refused(self):
        server, client = loru.Server(model(), clients=CLIENTS), loru.Client(model())
        with self.assertRaisesRegex(loru.Error, "server: expected begin_round"):
            server.broadcast(0)
        server.begin_round()
        broadcast = server.broadcast(0)
        x, y = self.x[:9], self.y[:9]
        answer = client.answer(broadcast, x, y)
        before = client.model.sha256
        wrong = [
            (x.astype(np.float64), y, "x: expected float32 as in the model, got float64"),
            (x[:, :11], y, r"x: expected samples of shape \(12\) as in the model, got \(11\)"),
            (x[0], y, r"x: expected samples of shape \(12\) as in the model, got \(\)"),
            (x, y[:8], "y: expected 9 targets, one a sample, got 8"),
            (x, y.astype(np.float32), r"y: expected integers \(N\), got float32 \(9\)"),
            (x, y.astype(np.uint64) + 2**63, r"y: sample 0: expected a label in \[0, 3\), got 922337203685477580[89]"),
            (x, y + 3, r"y: sample 0: expected a label in \[0, 3\), got"),
            (x, -y - 1, r"y: sample 0: expected a label in \[0, 3\), got"),
            (np.full_like(x, np.nan), y, "x: sample 0: expected finite features, got"),
            (x[:0], y[:0], "client 0: expected at least one sample"),
            ("text", y, "x: expected"), (None, y, "x: expected"), (x, None, "y: expected"),
        ]
        for bad_x, bad_y, text in wrong:
            with self.subTest(text=text), self.assertRaisesRegex(loru.Error, text):
                loru.Client(model()).answer(broadcast, bad_x, bad_y)
        for message in (b"", b"x" * 100, broadcast[:-1], broadcast[:40], answer, bytes(8)):
            with self.assertRaises(loru.DataError):
                client.answer(message, x, y)
        self.assertEqual(client.model.sha256, before)
        for message in (None, 3, "text", bytearray(broadcast)):
            with self.assertRaisesRegex(TypeError, f"^broadcast: expected bytes, got {type(message).__name__}$"):
                client.answer(message, x, y)
        other = loru.Client(model(seed=4))
        with self.assertRaisesRegex(loru.DataError, "message: metadata 'seed': expected 4, the model's, got 3"):
            other.answer(broadcast, x, y)
        with self.assertRaisesRegex(loru.Error, "server: client 0 was sent its broadcast of round 1 already"):
            server.broadcast(0)
        for message in (b"", broadcast, answer[:-1], answer + b"x"):
            with self.assertRaises(loru.DataError):
                server.receive(message)
        server.receive(answer)
        with self.assertRaises(loru.DataError):
            server.receive(answer)
        server.finish_round()
        with self.assertRaises(loru.Error):
            server.finish_round()
        with self.assertRaises(loru.DataError):
            server.restore(b"nothing")

    def test_whose_update_it_is(self):
        server, x, y = loru.Server(model(), clients=CLIENTS), self.x[:9], self.y[:9]
        server.begin_round()
        answers = [loru.Client(model()).answer(server.broadcast(k), x, y) for k in range(2)]
        with self.assertRaisesRegex(loru.DataError, "^server: update of client 0: expected the number of its client, got 1$"):
            server.receive(answers[1], 0)
        with self.assertRaisesRegex(loru.DataError, "^server: update of client 0: "):
            server.receive(b"", 0)
        for client in (-1, 7, 2**40):
            with self.assertRaisesRegex(loru.DataError, f"^server: update of client {client}: "):
                server.receive(answers[1], client)
        with self.assertRaisesRegex(TypeError, "^client: expected an integer, got str$"):
            server.receive(answers[1], "1")
        server.receive(answers[1], client=1)
        server.receive(answers[0])
        server.finish_round()

    def test_the_most_samples(self):
        server, x, y = loru.Server(model(), clients=CLIENTS, max_samples=8), self.x, self.y
        server.begin_round()
        broadcasts = [server.broadcast(k) for k in range(2)]
        with self.assertRaisesRegex(loru.DataError, "update of client 0: expected at most 8 samples, got 9$"):
            server.receive(loru.Client(model()).answer(broadcasts[0], x[:9], y[:9]))
        server.receive(loru.Client(model()).answer(broadcasts[1], x[:8], y[:8]))
        server.finish_round()
        for most in (0, -1, 2**29):
            with self.assertRaisesRegex(loru.ConfigError, f"^server: max_samples: expected 1 .. 536870911, got {most}$"):
                loru.Server(model(), max_samples=most)
        with self.assertRaisesRegex(TypeError, "^max_samples: expected an integer, got float$"):
            loru.Server(model(), max_samples=8.0)

    def test_wrong_models(self):
        sized = {"sample": (12,), "outputs": 3}
        wrong = [
            (("mlp",), {}, "expected sample and outputs"),
            (("mlpp",), sized, "config: model.name: "),
            (("mlp", "fedlorru"), sized, "config: algorithm.name: "),
            (("mlp",), {**sized, "sample": (12, 3)}, r"sample: expected \(C, H, W\) or \(n\), got \(12, 3\)"),
            (("mlp",), {**sized, "outputs": 0}, "outputs: expected 1 .. 2147483647, got 0"),
            (("mlp",), {**sized, "dtype": "float16"}, "dtype: expected 'float32' or 'uint8', got 'float16'"),
            (("mlp",), {**sized, "lowrnak": {"rank": 1}}, "config: unknown key 'lowrnak"),
            (("bert",), sized, "model.name: expected a model of images or vectors, got bert"),
            ((model(), "fedavg"), {}, "algorithm: expected fedloru, the model's, got fedavg"),
            ((model(), None, 9), {}, "seed: expected 3, the model's, got 9"),
            ((model(),), sized, "expected no sample"),
            (("mlp",), {**sized, "clients": -1}, "server: clients: expected 0 .. 4294967295, got -1"),
            (("mlp",), {**sized, "clients": 2**32}, "server: clients: expected 0 .. 4294967295, got 4294967296"),
            (("mlp",), {**sized, "clients": 5, "ranks": [1, 2]}, "server: ranks: expected 5, one a client, got 2"),
            (("mlp",), {**sized, "ranks": [1, 0]}, "ranks: values: expected at least 1, got 0"),
            (("mlp",), {**sized, "seed": 2**63}, "config: seed: expected an integer of 64 bits, got 9223372036854775808"),
            (("mlp",), {**sized, "federation": {"warmup_rounds": 1}}, "federation.warmup_rounds: expected 0"),
            (("mlp",), {**sized, "federation": {"cohort": 1}},
             "config: federation.cohort: expected keys of models and of clients' turns, got one of runs alone"),
            (("mlp",), {**sized, "data": {"name": "digits"}}, "config: data.name: expected keys of models"),
            (("mlp",), {**sized, "partition": {"kind": "iid"}}, "config: partition.kind: expected keys of models"),
            (("mlp",), {**sized, "tracking": {"tensorboard": True}}, "config: tracking.tensorboard: expected keys"),
            (("mlp",), {**sized, "device": "cuda"}, "config: device: expected keys of models"),
            (("mlp",), {**sized, "federation": {"chort": 1}}, "config: unknown key 'federation.chort', nearest is"),
        ]
        for arguments, named, text in wrong:
            with self.subTest(text=text), self.assertRaisesRegex(loru.Error, text):
                loru.Server(*arguments, **named)

    def test_what_ends_use_of_the_tables_of_runs(self):
        """The schedule counts the rounds of [federation], and a client augments its images."""
        x, y = self.x.reshape(90, 1, 3, 4), self.y
        answers = []
        for tables in ({}, {"data": {"augment": ["flip"]}},
                       {"schedule": {"kind": "cosine"}, "federation": {"rounds": 2}},
                       {"schedule": {"kind": "cosine"}, "federation": {"rounds": 9}}):
            own = loru.Model("mlp", (1, 3, 4), 3, "fedavg", SEED, **{**TABLES, **tables})
            server, client = loru.Server(own), loru.Client(own)
            for _ in range(2):
                server.begin_round()
                answers.append(client.answer(server.broadcast(0), x, y))
                server.receive(answers.pop() if server.round == 1 else answers[-1])
                server.finish_round()
        self.assertEqual(len(set(answers)), len(answers))

    def test_clients_that_there_are_not(self):
        server, any_number = loru.Server(model(), clients=CLIENTS), loru.Server(model())
        server.begin_round()
        any_number.begin_round()
        for number in (-1, CLIENTS, 2**32, 2**62):
            with self.assertRaisesRegex(loru.Error, f"^server: expected a client in 0 .. 4, got {number}$"):
                server.broadcast(number)
        for number in (-1, 2**32):
            with self.assertRaisesRegex(loru.Error, f"^server: expected a client in 0 .. 4294967294, got {number}$"):
                any_number.broadcast(number)
        with self.assertRaisesRegex(loru.ConfigError, f"^client: expected an integer of 64 bits, got {2**70}$"):
            server.broadcast(2**70)
        any_number.broadcast(2**32 - 2)
        self.assertEqual(server.broadcast(CLIENTS - 1)[:8], any_number.broadcast(CLIENTS - 1)[:8])

    def test_updates_are_not_lost(self):
        def answered(server):
            server.begin_round()
            server.receive(loru.Client(model()).answer(server.broadcast(0), self.x[:9], self.y[:9]))
            return server

        def fresh():
            return loru.Server(model(), clients=CLIENTS)

        server = answered(fresh())
        for what in (server.begin_round, server.save):
            with self.assertRaisesRegex(loru.Error, r"^server: expected finish_round\(\) or drop_updates\(\) before "
                                                    rf"{what.__name__}\(\), got 1 updates of round 1$"):
                what()
        server.finish_round()
        saved, digest = server.save(), server.model.sha256
        self.assertNotEqual(digest, model().sha256)
        # Dropped on demand, and by going back: nothing of the round is in what comes then.
        for back in (server.drop_updates, lambda: server.restore(saved)):
            answered(server)
            back()
            with self.assertRaises(loru.Error):
                server.finish_round()
            self.assertEqual(server.model.sha256, digest)
        self.assertEqual((server.round, server.save()), (1, saved))

    def test_a_client_is_one_client(self):
        server, client = loru.Server(model(), clients=CLIENTS), loru.Client(model())
        x, y = self.x[:9], self.y[:9]
        self.assertEqual(client.state, b"")
        server.begin_round()
        first, other = server.broadcast(0), server.broadcast(1)
        with self.assertRaisesRegex(loru.DataError, "y: expected 9 targets"):
            client.answer(first, x, y[:3])  # a turn that fails may be tried again
        server.receive(client.answer(first, x, y))
        server.finish_round()
        server.begin_round()
        second, other = server.broadcast(0), server.broadcast(1)
        again = loru.Client(client.model)
        again.state = client.state
        for one in (client, again):
            before = one.model.sha256, one.state
            with self.assertRaisesRegex(loru.DataError, "^message: metadata 'client': expected 0, this client's, got 1$"):
                one.answer(other, x, y)
            with self.assertRaisesRegex(loru.DataError, "^message: metadata 'round': expected a round after 1, the last one "
                                                        "answered, got 1$"):
                one.answer(first, x, y)
            self.assertEqual((one.model.sha256, one.state), before)
        self.assertEqual(client.answer(second, x, y), again.answer(second, x, y))
        for one in (client, again):
            with self.assertRaisesRegex(loru.DataError, "expected a round after 2"):
                one.answer(second, x, y)
        again.state = b""  # as if it had not answered anything
        again.answer(other, x, y)

    def test_states_that_no_client_has(self):
        states = {}
        for algorithm in ("fedavg", "scaffold", "pfedloru", "local"):
            server, client = loru.Server(model(algorithm), clients=1), loru.Client(model(algorithm))
            server.begin_round()
            client.answer(server.broadcast(0), self.x[:9], self.y[:9])
            states[algorithm] = client.state
        one = np.ones(1, np.float32)
        state = states["scaffold"]
        header, data = parsed(state)
        name = next(key for key in header if key.endswith("bias"))
        begin = header[name]["data_offsets"][0]
        infinite = message_of(header, data[:begin] + np.float32(np.inf).tobytes() + data[begin + 4:])
        reshaped = {**header, name: {**header[name], "shape": [1, *header[name]["shape"]]}}
        wrong = [
            (states["pfedloru"], "state: expected what clients keep under scaffold, got tensor '"),
            (states["local"], "state: expected what clients keep under scaffold, got tensor '"),
            (with_tensor(state, "zzz", one), "state: expected what clients keep under scaffold, got tensor 'zzz'"),
            (message_of(reshaped, data), rf"state: tensor {name}: expected shape \(\d+\), got \(1, \d+\)"),
            (infinite, f"state: tensor {name}: expected finite numbers"),
            (with_metadata(state, note="x"), "state: expected metadata of codecs, got 'note'"),
            (with_metadata(state, client=None), "state: expected metadata 'client'"),
            (with_metadata(state, client="-1"), "state: metadata 'client': expected .*, got -1"),
            (with_metadata(state, round="0"), "state: metadata 'round': expected .*, got 0"),
            (state[:-1], "state: "), (b"x", "state: "),
            (loru.Server(model("scaffold"), clients=1).save(), "state: expected"),
        ]
        client = loru.Client(model("scaffold"))
        client.state = state
        for bad, text in wrong:
            with self.subTest(text=text), self.assertRaisesRegex(loru.DataError, text):
                client.state = bad
        self.assertEqual(client.state, state)

    def test_tensors_that_no_client_reads(self):
        for algorithm in ("fedloru", "scaffold", "flora"):
            server = loru.Server(model(algorithm), clients=CLIENTS)
            server.begin_round()
            broadcast, x, y = server.broadcast(0), self.x[:9], self.y[:9]
            for name in ("zzz", "fc1.lora_C.weight", "merge.0.fc1.lora_A.weight", "merge.7.fc1.lora_B.weight", "own.fc1.bias"):
                client = loru.Client(model(algorithm))
                before = client.model.sha256
                with self.subTest(name=name), self.assertRaisesRegex(
                        loru.DataError, "^message: broadcast: expected tensors of the model, its merges and the algorithm, "
                                        f"got '{name}'$"):
                    client.answer(with_tensor(broadcast, name, np.zeros((1, 1), np.float32)), x, y)
                self.assertEqual((client.model.sha256, client.state), (before, b""))
            client.answer(broadcast, x, y)

    def test_integers_of_any_type(self):
        kinds = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", ">i2", ">u8")
        server = loru.Server(model(), clients=CLIENTS)
        server.begin_round()
        broadcast = server.broadcast(0)
        answers = {loru.Client(model()).answer(broadcast, self.x, self.y.astype(kind)) for kind in kinds}
        self.assertEqual(len(answers), 1)
        self.assertEqual(loru.Model("mlp", np.array([12], np.uint8), np.uint8(3)).sha256, loru.Model("mlp", (12,), 3).sha256)
        own = loru.Model("mlp", (12,), 2, "fedavg", task={"kind": "multilabel"})
        flags = (self.x[:, :2] > 0).astype(np.int64)
        losses = {own.evaluate(self.x, flags.astype(kind))["loss"] for kind in (*kinds, bool)}
        self.assertEqual(len(losses), 1)
        flags[4, 1] = 256  # zero as a byte
        with self.assertRaisesRegex(loru.DataError, "^y: sample 4: expected 0 or 1, got 256$"):
            own.evaluate(self.x, flags)

    def test_other_tasks(self):
        for task, y in (("regression", self.x[:, :2]), ("multilabel", (self.x[:, :2] > 0).astype(np.uint8))):
            with self.subTest(task=task):
                own = loru.Model("mlp", (12,), 2, "fedavg", SEED, task={"kind": task}, **TABLES)
                server, client = loru.Server(own), loru.Client(own)
                server.begin_round()
                server.receive(client.answer(server.broadcast(0), self.x, y))
                loss = server.finish_round()
                self.assertLess(server.model.evaluate(self.x, y)["loss"], own.evaluate(self.x, y)["loss"])
                self.assertTrue(np.isfinite(loss))
                with self.assertRaisesRegex(loru.DataError, "y: expected"):
                    client.answer(b"", self.x, self.y)


if __name__ == "__main__":
    support.main()
