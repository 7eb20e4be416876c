"""The two ends over bytes: with every algorithm the model of a run, to the last bit."""
import numpy as np

import support
from support import Case, with_keys

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


def trained(algorithm, x, y, parts, **tables):
    """The server after all rounds, and the bytes that went up and down in each."""
    start = model(algorithm, **tables)
    server = loru.Server(start, clients=CLIENTS)
    clients = [loru.Client(start) for _ in range(CLIENTS)]
    sent = []
    for number in range(1, ROUNDS + 1):
        server.begin_round()
        up = down = 0
        for k in loru.sample_cohort(SEED, number, CLIENTS, COHORT):
            broadcast = server.broadcast(k)
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

    def check(self, algorithm, **tables):
        server, sent = trained(algorithm, self.x, self.y, self.parts, **tables)
        run = self.run_of(algorithm, **tables)
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
            (x, y.astype(np.float32), r"y: expected int64 \(N\), got float32 \(9\)"),
            (x, y + 3, r"y: sample 0: expected a label in \[0, 3\), got"),
            (x, -y - 1, r"y: sample 0: expected a label in \[0, 3\), got"),
            (np.full_like(x, np.nan), y, "x: sample 0: expected finite features, got"),
            (x[:0], y[:0], "client 0: expected at least one sample"),
            ("text", y, "x: expected"), (None, y, "x: expected"), (x, None, "y: expected"),
        ]
        for bad_x, bad_y, text in wrong:
            with self.subTest(text=text), self.assertRaisesRegex(loru.Error, text):
                client.answer(broadcast, bad_x, bad_y)
        for message in (b"", b"x" * 100, broadcast[:-1], broadcast[:40], answer, bytes(8)):
            with self.assertRaises(loru.DataError):
                client.answer(message, x, y)
        self.assertEqual(client.model.sha256, before)
        for message in (None, 3, "text", bytearray(broadcast)):
            with self.assertRaises(TypeError):
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
            (("mlp",), {**sized, "clients": -1}, "clients: expected at least 0, got -1"),
            (("mlp",), {**sized, "federation": {"warmup_rounds": 1}}, "federation.warmup_rounds: expected 0"),
        ]
        for arguments, named, text in wrong:
            with self.subTest(text=text), self.assertRaisesRegex(loru.Error, text):
                loru.Server(*arguments, **named)

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
