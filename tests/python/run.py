"""loru.run beside federate: the same model, rows, summary and errors."""
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np

import support
from support import TINY, Case, federate, read_csv, said, with_keys

import loru
from loru import _toml


def without_times(summary):
    return {key: value for key, value in summary.items()
            if key not in ("wall_seconds", "train_seconds", "peak_rss_bytes", "threads")}


class Runs(Case):
    def test_a_file_gives_federates_model_and_files(self):
        config = support.ROOT / "examples" / "federations" / "digits.toml"
        self.assertEqual(federate(config, "--out", "a", "--threads", 2, "--set", "federation.rounds=4").returncode, 0)
        run = loru.run(config, out="b", threads=1, set=["federation.rounds=4"])
        summary = json.loads((self.folder / "a/summary.json").read_text())
        self.assertEqual(run.summary["model_sha256"], summary["model_sha256"])
        self.assertEqual(without_times(run.summary), without_times(summary))
        self.assertEqual(run.summary, json.loads((self.folder / "b/summary.json").read_text()))
        self.assertEqual(run.model.sha256, summary["model_sha256"])
        for name in ("config.toml", "model.safetensors", "clients.csv"):
            self.assertEqual((self.folder / "a" / name).read_bytes(), (self.folder / "b" / name).read_bytes(), name)
        self.assertEqual(sorted(os.listdir("a")), sorted(os.listdir("b")))
        rounds = read_csv("a/rounds.csv")
        self.assertEqual(list(run.rows), list(rounds))
        for name, column in rounds.items():
            if name != "seconds":
                np.testing.assert_array_equal(run.rows[name], column, name)
        self.assertEqual(run.rows["uplink_bytes"].dtype, np.int64)

    def test_a_dict_gives_the_same_and_no_files(self):
        (self.folder / "tiny.toml").write_text(_toml.document(TINY))
        self.assertEqual(federate("tiny.toml", "--out", "a").returncode, 0)
        summary = json.loads((self.folder / "a/summary.json").read_text())
        before = sorted(os.listdir("."))
        kept = {"federation.keep_best": True, "federation.keep_rounds": [1], "federation.client_state": "disk"}
        for settings in (None, kept):
            run = loru.run(TINY, set=settings)
            self.assertEqual(run.summary["model_sha256"], summary["model_sha256"])
            self.assertIsNone(run.folder)
        self.assertEqual(sorted(os.listdir(".")), before)
        self.assertEqual(run.summary["best_round"], 5)
        # The effective configuration trains the same model again.
        (self.folder / "again.toml").write_text(run.configuration)
        self.assertEqual(loru.run("again.toml").model.sha256, run.model.sha256)

    def test_keys_with_dots_and_set(self):
        flat = {"seed": 7, "data.name": "synthetic", "data.shape": (1, 4, 4), "data.classes": np.int64(4),
                "data.train_samples": 240, "data.test_samples": 80, "model.name": "mlp", "lowrank": {"rank": 4},
                "lowrank.alpha": np.float32(4), "algorithm.tau": 2, "federation": {"clients": 12, "cohort": 4},
                "federation.rounds": 5, "federation.eval_every": 2, "client.epochs": 3, "client.batch": 8}
        for one_epoch in ({"client.epochs": 1}, {"client": {"epochs": 1}}):
            self.assertEqual(loru.run(flat, set=one_epoch).model.sha256, loru.run(TINY).model.sha256)

    def test_validation_and_metrics_are_columns(self):
        run = loru.run(with_keys(TINY, data={"validation": 0.2}))
        self.assertIn("validation_accuracy", run.rows)
        self.assertTrue(np.isnan(run.rows["validation_accuracy"][0]))

    def test_errors_are_federates(self):
        bad = [{"lowrank.rnak": 4}, {"lowrank.rank": 0}, {"model.name": "mlpp"}, {"data.name": "synthetics"},
               {"federation.cohort": 13}, {"lowrank": 3}, {"algorithm.name": ["fedavg"]},
               {"optimizer.momentum": "much"}, {"data.shape": [1, 4]},
               {"lowrank.rank": 40, "lowrank.layers": ["fc3"]}, {"data.name": "idx", "data.dir": "nowhere"},
               {"data.classes": 2**62}, {"data.train_samples": 2**62}, {"data.shape": [2**62, 2**62, 4]},
               {"data.shape": [10_000, 10_000, 1_000]}, {"data.dir": "a\0b"}, {"lowrank.layers": ["fc1", "\0"]},
               {"lowrank.rates": "\0"}, {"lowrank.start": "peft:a\0b"}, {"text.template": "\0"}]
        (self.folder / "tiny.toml").write_text(_toml.document(TINY))
        for change in bad:
            with self.subTest(change=change):
                settings = _toml.assignments(change)
                done = federate("tiny.toml", "--out", "a", *(part for s in settings for part in ("--set", s)))
                self.assertEqual(done.returncode, 2)
                for config in ("tiny.toml", TINY):
                    with self.assertRaises(loru.Error) as raised:
                        loru.run(config, set=change)
                    self.assertEqual(str(raised.exception), said(done))
        with self.assertRaises(loru.ConfigError) as raised:  # federate may have a CUDA device, the module has none
            loru.run(TINY, set={"device.name": "cuda"})
        self.assertTrue(str(raised.exception).startswith('device.name: expected "cpu", got "cuda": '))
        (self.folder / "bad.toml").write_text("seed = 1\n[lowrank]\nrnak = 3\n")
        with self.assertRaises(loru.ConfigError) as raised:
            loru.run("bad.toml")
        self.assertEqual(str(raised.exception), said(federate("bad.toml")))
        self.assertEqual(str(raised.exception), "bad.toml:3: unknown key 'lowrank.rnak', nearest is 'lowrank.rank'")
        with self.assertRaises(loru.ConfigError) as raised:
            loru.run(with_keys(TINY, lowrank={"rnak": 3}))
        self.assertEqual(str(raised.exception), "config: unknown key 'lowrank.rnak', nearest is 'lowrank.rank'")
        with self.assertRaises(loru.IoError) as raised:
            loru.run("nowhere.toml")
        self.assertEqual(str(raised.exception), said(federate("nowhere.toml")))

    def test_a_base_that_is_no_file(self):
        for base, text in (("", "no name"), ("a\\u0000b", "one with NUL")):
            (self.folder / "a.toml").write_text(f'base = "{base}"\n')
            with self.assertRaises(loru.ConfigError) as raised:
                loru.run("a.toml")
            self.assertEqual(str(raised.exception), f"a.toml:1: base: expected the name of a file, got {text}")
            self.assertEqual(str(raised.exception), said(federate("a.toml")))

    def test_the_bundled_digits_are_beside_the_module(self):
        self.assertTrue((Path(loru.__file__).parent / "data" / "digits.csv.gz").exists())
        script = "import loru; print(loru.run({'data': {'name': 'digits'}, 'federation': {'rounds': 1, 'clients': 5}}))"
        for folder in ("/", self.folder):
            done = subprocess.run([sys.executable, "-c", script], cwd=folder, capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("on digits: 1 rounds", done.stdout)

    def test_a_run_that_diverges(self):
        config = with_keys(TINY, optimizer={"learning_rate": 1e30})
        (self.folder / "tiny.toml").write_text(_toml.document(config))
        done = federate("tiny.toml", "--out", "a", "--quiet")
        self.assertEqual(done.returncode, 1)
        with self.assertRaises(loru.DivergedError) as raised:
            loru.run(config, out="a")
        self.assertEqual(str(raised.exception), said(done))
        self.assertTrue(raised.exception.run.summary["diverged"])
        with self.assertRaises(loru.DivergedError) as raised:
            loru.run(config)
        self.assertEqual(str(raised.exception) + "; the model before the first round is in a", said(done))

    def test_ctrl_c_ends_the_run_after_its_round(self):
        def interrupt(row):
            if row["round"] == 2:
                os.kill(os.getpid(), signal.SIGINT)

        with self.assertRaises(KeyboardInterrupt) as raised:
            loru.run(TINY, out="a", on_round=interrupt)
        self.assertEqual(str(raised.exception), "stopped after round 2 of 5; everything up to it is in a")
        self.assertEqual(len(raised.exception.run.rows["round"]), 2)
        summary = json.loads((self.folder / "a/summary.json").read_text())
        self.assertEqual((summary["rounds"], summary["model_sha256"]), (2, raised.exception.run.model.sha256))
        # While rounds run, without on_round.
        timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        with self.assertRaises(KeyboardInterrupt) as raised:
            loru.run(TINY, set={"federation.rounds": 10_000_000})
        timer.join()
        self.assertGreater(raised.exception.run.summary["rounds"], 0)

    def test_what_on_round_raises_ends_the_run(self):
        class Enough(Exception):
            pass

        def enough(row):
            seen.append(row)
            if row["round"] == 3:
                raise Enough("three")

        seen = []
        with self.assertRaisesRegex(Enough, "three") as raised:
            loru.run(TINY, on_round=enough)
        self.assertEqual([row["round"] for row in seen], [1, 2, 3])
        self.assertEqual(raised.exception.run.summary["rounds"], 3)
        self.assertEqual(list(seen[0]), list(raised.exception.run.rows))

    def test_runs_beside_each_other(self):
        """The interpreter's lock is free while C++ works."""
        runs = {}
        threads = [threading.Thread(target=lambda k=k: runs.update({k: loru.run(TINY, threads=1)})) for k in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len({run.model.sha256 for run in runs.values()}), 1)
        self.assertEqual(len(runs), 3)

    def test_wrong_arguments(self):
        for config in (3, None, [TINY], b"a.toml"):
            with self.assertRaisesRegex(TypeError, "^config: expected a dict or a path, got "):
                loru.run(config)
        wrong = [({"threads": "two"}, "threads: expected an integer, got str"), ({"threads": 1.5}, "threads: expected an "
                                                                                 "integer, got float"),
                 ({"on_round": 3}, "on_round: expected a function, got int"),
                 ({"set": 5}, "set: expected a dict or a list of 'key=value', got int"),
                 ({"set": "client.epochs=1"}, "set: expected a dict or a list of 'key=value', got str"),
                 ({"set": [3]}, "set: expected a list of 'key=value', got int in it"),
                 ({"out": 3}, "out: expected a path, got int"), ({"data_dir": b"a"}, "data_dir: expected a path, got bytes"),
                 ({"set": {"lowrank": {"rank": object()}}}, "--set: lowrank.rank: expected a string, number, list or dict, "
                                                            "got object")]
        for arguments, text in wrong:
            with self.subTest(text=text), self.assertRaises(TypeError) as raised:
                loru.run(TINY, **arguments)
            self.assertEqual(str(raised.exception), text)
        wrong = [({"out": ""}, "out: expected a path, got an empty one"), ({"data_dir": ""}, "data_dir: expected a path, got "
                                                                                             "an empty one"),
                 ({"out": "a\0b"}, "out: expected a path without NUL, got 'a\\x00b'"),
                 ({"threads": 2**64}, f"threads: expected an integer of 64 bits, got {2**64}"),
                 ({"set": {"seed": 2**63}}, f"--set: seed: expected an integer of 64 bits, got {2**63}"),
                 ({"set": ["data.dir=a\0b"]}, "config: expected keys without NUL, got 'data.dir=a\\x00b'"),
                 ({"set": {"a\0b": 1}}, "config: expected keys without NUL, got 'a\\x00b'")]
        for arguments, text in wrong:
            with self.subTest(text=text), self.assertRaises(loru.ConfigError) as raised:
                loru.run(TINY, **arguments)
            self.assertEqual(str(raised.exception), text)
        wrong = [("", "config: expected a path, got an empty one"), ("a\0b", "config: expected a path without NUL, got "
                                                                            "'a\\x00b'"),
                 (with_keys(TINY, seed=2**63), f"config: seed: expected an integer of 64 bits, got {2**63}"),
                 (with_keys(TINY, lowrank={"ranks": [1, -2**70]}), "config: lowrank.ranks: expected an integer of 64 bits, "
                                                                   f"got {-2**70}"),
                 (with_keys(TINY, data={"name": "\udcff"}), "config: data.name: expected text, got '\\udcff'"),
                 ({"seed": 3, "seed.a": 4}, "config: seed.a: seed is a value, not a table")]
        for config, text in wrong:
            with self.subTest(text=text), self.assertRaises(loru.ConfigError) as raised:
                loru.run(config)
            self.assertEqual(str(raised.exception), text)
        self.assertEqual(sorted(os.listdir(".")), [])
        for threads in (0, 5000):
            with self.assertRaisesRegex(loru.ConfigError, "threads: expected 1 to 4096"):
                loru.run(TINY, threads=threads)
        with self.assertRaisesRegex(TypeError, "got NoneType"):
            loru.run(with_keys(TINY, lowrank={"rank": None}))
        for text in ("a\nb", 'quoted "name"', "back\\slash", "tab\t\x01\x7f", "Ünï©ode"):
            with self.assertRaises(loru.ConfigError) as raised:
                loru.run(with_keys(TINY, data={"name": text}))
            self.assertIn("data.name", str(raised.exception))


class Reports(Case):
    def test_a_report_of_runs(self):
        run = loru.run(TINY, out="a")
        page = loru.report(run)
        self.assertEqual(page.resolve(), self.folder.resolve() / "a/report.html")
        self.assertIn("</html>", page.read_text())
        self.assertEqual(str(loru.report(["a"], out="page.html")), "page.html")
        with self.assertRaises(loru.Error) as raised:
            loru.report("nowhere")
        self.assertEqual(str(raised.exception), said(federate("report", "nowhere")))
        with self.assertRaisesRegex(loru.ConfigError, "expected runs with a folder"):
            loru.report(loru.run(TINY))
        for folders, kind, text in (("", loru.ConfigError, "report: expected a path, got an empty one"),
                                    (3, TypeError, "report: expected folders, got int"),
                                    ([3], TypeError, "report: expected a path, got int")):
            with self.assertRaises(kind) as raised:
                loru.report(folders)
            self.assertEqual(str(raised.exception), text)


if __name__ == "__main__":
    support.main()
