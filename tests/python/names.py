"""One table of names: the keys of the module are federate's, and its functions have no others."""
import inspect
import re

import numpy as np

import support
from support import Case, federate

import loru


class Names(Case):
    def test_keys_are_federates(self):
        printed = federate("--keys").stdout
        names = re.findall(r"^\| `([\w.]+)`", printed, re.M)
        self.assertEqual(set(loru.keys()), set(names))
        for name, key in loru.keys().items():
            self.assertRegex(printed, rf"(?m)^\| `{re.escape(name)}` +\| .*{re.escape(key.text)}")
        self.assertEqual(loru.keys()["algorithm.tau"].algorithms.count("fedloru"), 1)
        self.assertEqual(loru.keys()["seed"].algorithms, ())

    def test_keys_of_a_configuration(self):
        model = loru.Model("mlp", (4,), 2, "fedavg")
        table = ""
        for line in model.configuration.splitlines():
            line = line.strip()
            if line.startswith("["):
                table = line.strip("[]") + "."
            elif "=" in line:
                key = table + line.split("=")[0].strip()
                self.assertIn(re.sub(r"^lowrank\.rates\..*", "lowrank.rates", key), loru.keys())

    def test_arguments_are_keys(self):
        tables = {name.split(".")[0] for name in loru.keys()}
        kinds = loru.keys()["partition.kind"].values
        for kind in ("iid", "dirichlet", "shards", "quantity", "natural", "virtual"):
            self.assertIn(kind, kinds)
            self.assertIn(kind, loru.partition.__doc__)
        own = {name.split(".")[1] for name in loru.keys() if name.startswith("partition.")} - {"kind"}
        for option in own:
            self.assertIn(option, loru.partition.__doc__)
        for function in (loru.Model.__init__, loru.Server.__init__, loru.Client.__init__):
            for name in re.findall(r"\b(\w+)=", inspect.getdoc(function) or ""):
                self.assertIn(name, tables)
        self.assertEqual(set(loru.algorithms()), set(re.findall(r'"(\w+)"', loru.keys()["algorithm.name"].values)))
        self.assertEqual(set(loru.models()), set(re.findall(r'"(\w+)"', loru.keys()["model.name"].values)))


class Partitions(Case):
    def test_they_are_partitions(self):
        labels = np.random.default_rng(1).integers(0, 10, 600)
        groups = np.repeat(np.arange(20), 30)
        kinds = {"iid": {}, "dirichlet": {"alpha": 0.3}, "shards": {"classes_per_client": 2}, "quantity": {"skew": 1.5},
                 "natural": {"groups": groups}}
        for kind, options in kinds.items():
            with self.subTest(kind=kind):
                parts = loru.partition(labels, kind, clients=20, seed=3, **options)
                self.assertEqual(len(parts), 20)
                np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(600))
                self.assertEqual(parts[0].dtype, np.int64)
                again = loru.partition(labels, kind, clients=20, seed=3, **options)
                self.assertTrue(all(np.array_equal(a, b) for a, b in zip(parts, again)))
        virtual = loru.partition(labels, "virtual", clients=1000, samples=7)
        self.assertEqual({len(part) for part in virtual}, {7})

    def test_errors(self):
        labels = np.arange(10)
        wrong = [((labels, "iidd"), {}, loru.ConfigError, "config: partition.kind: "),
                 ((labels,), {}, loru.ConfigError, "100"),
                 ((labels,), {"clients": 0}, loru.ConfigError, "config: federation.clients: expected"),
                 ((labels, "dirichlet"), {"alpha": -1.0}, loru.ConfigError, "config: partition.alpha: expected"),
                 ((labels,), {"alhpa": 1.0}, loru.ConfigError, "config: unknown key 'partition.alhpa', nearest is "
                                                               "'partition.alpha'"),
                 ((labels,), {"seed": -1}, loru.ConfigError, "config: seed: expected"),
                 ((labels - 1,), {"clients": 2}, loru.DataError, "labels: sample 0: expected a class in 0 .. 9999999, got -1"),
                 ((labels + 10**7,), {"clients": 2}, loru.DataError, "labels: sample 0: expected a class in 0 .. 9999999"),
                 ((labels / 2,), {}, loru.DataError, "labels: expected integers"),
                 ((labels.reshape(2, 5),), {}, loru.DataError, "labels: expected integers"),
                 ((labels, "natural"), {"groups": [1]}, loru.DataError, "groups: expected 10, one a sample, got 1"),
                 (("abc",), {}, loru.DataError, "labels: expected integers"),
                 ((labels.astype(np.uint64) + 2**63,), {}, loru.DataError, "labels: sample 0: expected an integer below"),
                 ((labels, "natural"), {"groups": labels + 2**31}, loru.DataError, "groups: sample 0: expected an integer "
                                                                                  "below 2147483648, got 2147483648"),
                 ((labels,), {"clients": 2**64}, loru.ConfigError, "config: federation.clients: expected an integer of 64")]
        for arguments, options, kind, text in wrong:
            with self.subTest(text=text), self.assertRaisesRegex(kind, text):
                loru.partition(*arguments, **options)

    def test_cohorts(self):
        self.assertEqual(len(loru.sample_cohort(1, 2, 10, 4)), 4)
        for wrong, text in (({"seed": -1}, "seed: expected 0 .. 2^63 - 1, got -1"),
                            ({"seed": 2**64}, f"seed: expected an integer of 64 bits, got {2**64}"),
                            ({"round": 2**32}, "round: expected 0 .. 2^32 - 1, got 4294967296"),
                            ({"clients": -3}, "clients: expected 0 .. 2^32 - 1, got -3")):
            with self.assertRaises(loru.ConfigError) as raised:
                loru.sample_cohort(**{"seed": 1, "round": 1, "clients": 9, "cohort": 3, **wrong})
            self.assertEqual(str(raised.exception), text)
        with self.assertRaisesRegex(TypeError, "^round: expected an integer, got str$"):
            loru.sample_cohort(1, "1", 9, 3)


if __name__ == "__main__":
    support.main()
