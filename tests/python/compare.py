"""loru.compare beside federate --compare."""
import os
import signal

import numpy as np

import support
from support import TINY, Case, federate, read_csv, said, with_keys

import loru
from loru import _toml

FEDAVG = with_keys(TINY, algorithm={"name": "fedavg"})


class Comparisons(Case):
    def test_it_is_federates(self):
        for name, config in (("a", TINY), ("b", FEDAVG)):
            (self.folder / f"{name}.toml").write_text(_toml.document(config))
        done = federate("--compare", "a.toml", "b.toml", "--seeds", "1,2", "--budgets", "0.01,1", "--out", "out")
        self.assertEqual(done.returncode, 0, done.stderr)
        for configs in (["a.toml", "b.toml"], {"a": TINY, "b": FEDAVG}, {"a": TINY, "b": "b.toml"}):
            result = loru.compare(configs, seeds=[1, 2], budgets=[0.01, 1])
            self.assertIsNone(result.folder)
            with open("out/compare.csv") as table:
                self.assertEqual(",".join(result.table), table.readline().strip())
            self.assertEqual(sorted(result.rounds), ["a", "b"])
            for name in ("a", "b"):
                for seed in (1, 2):
                    rows = read_csv(f"out/{name}/seed-{seed}/rounds.csv")
                    for column, values in rows.items():
                        if column != "seconds":
                            np.testing.assert_array_equal(result.rounds[name][seed][column], values)
            self.assertEqual(list(result.table[next(iter(result.table))]), ["a", "b"])
            self.assertEqual(len(result.runs[next(iter(result.runs))]), 4)
        self.assertEqual(sorted(os.listdir(".")), ["a.toml", "b.toml", "out"])

    def test_a_base_is_relative_to_the_working_folder(self):
        (self.folder / "own.toml").write_text(_toml.document(TINY))
        result = loru.compare({"a": TINY, "b": {"base": "own.toml"}})
        np.testing.assert_array_equal(result.rounds["a"][7]["train_loss"], result.rounds["b"][7]["train_loss"])

    def test_a_folder_is_kept_and_gone_on_with(self):
        rounds = []
        first = loru.compare({"a": TINY}, out="out", on_round=rounds.append)
        self.assertEqual(len(rounds), 5)
        again = loru.compare({"a": TINY}, out="out", on_round=rounds.append)
        self.assertEqual(len(rounds), 5)
        self.assertEqual(first.text, again.text)
        self.assertTrue((self.folder / "out/a/seed-7/model.safetensors").exists())
        self.assertIn("</html>", loru.report(again).read_text())

    def test_ctrl_c(self):
        def interrupt(row):
            if row["round"] == 2 and finished:
                os.kill(os.getpid(), signal.SIGINT)
            finished.extend([row] if row["round"] == 5 else [])

        finished = []
        with self.assertRaises(KeyboardInterrupt) as raised:
            loru.compare({"a": TINY, "b": FEDAVG}, on_round=interrupt)
        self.assertIn("stopped after round 2 of 5", str(raised.exception))
        self.assertEqual(len(raised.exception.comparison.runs["seed"]), 1)

    def test_errors(self):
        for name, config in (("a", TINY), ("b", with_keys(FEDAVG, partition={"kind": "dirichlet"}))):
            (self.folder / f"{name}.toml").write_text(_toml.document(config))
        with self.assertRaises(loru.ConfigError) as raised:
            loru.compare(["a.toml", "b.toml"])
        self.assertEqual(str(raised.exception), said(federate("--compare", "a.toml", "b.toml", "--out", "out")))
        wrong = [({"a": with_keys(TINY, lowrank={"rank": 0})}, loru.ConfigError, "config: lowrank.rank: expected"),
                 ({}, loru.ConfigError, "compare: expected at least one configuration"),
                 *(({name: TINY}, loru.ConfigError, "^compare: expected a name without '/' or NUL, got ")
                   for name in ("a/b", "", ".", "..", "a\0b")),
                 ({"\udcff": TINY}, loru.ConfigError, "^compare: expected text, got '.udcff'$"),
                 ([TINY], TypeError, "expected paths in a list"), ("a.toml", TypeError, "expected a list of paths"),
                 (["a.toml", "other/a.toml"], loru.ConfigError, "a twice"),
                 ([""], loru.ConfigError, "^configs: expected a path, got an empty one$"),
                 ({"a": "a\0b"}, loru.ConfigError, "^configs: a: expected a path without NUL"),
                 ({"a": 3}, TypeError, "^configs: a: expected a path, got int$"),
                 (3, TypeError, "^configs: expected a list of paths or a dict of configurations, got int$")]
        for configs, kind, text in wrong:
            with self.subTest(text=text), self.assertRaisesRegex(kind, text):
                loru.compare(configs)
        with self.assertRaisesRegex(loru.ConfigError, "compare: seeds: expected different ones, got 1 twice"):
            loru.compare(["a.toml"], seeds=[1, 1])
        for arguments, text in (({"seeds": 1}, "seeds: expected a list of integers, got int"),
                                ({"seeds": ["1"]}, "seeds[0]: expected an integer, got str"),
                                ({"budgets": [None]}, "budgets[0]: expected a number, got NoneType")):
            with self.assertRaises(TypeError) as raised:
                loru.compare(["a.toml"], **arguments)
            self.assertEqual(str(raised.exception), text)
        with self.assertRaisesRegex(loru.ConfigError, "^out: expected a path, got an empty one$"):
            loru.compare(["a.toml"], out="")


if __name__ == "__main__":
    support.main()
