#!/usr/bin/env python3
"""Tests what bench/run.py computes from figures: ratios, verdicts, the table. Measures nothing."""
import sys
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench"))
import run  # noqa: E402

MACHINE = {"cpu": "CPU X", "cores": 2, "system": "Linux", "compiler": "g++ 12", "load": 0.1, "date": "2030-01-02"}
FASTER = run.Row(name="a", work="work A", against="peer", ours="", value="ms", theirs="ms", at_least=2, aim=3)
SHARE = run.Row(name="b", work="work B", against="itself", ours="", value="low", theirs="dense", at_least=1.1, aim=0.9,
                at_most=True)


class Figures(unittest.TestCase):
    def test_ratio_says_how_many_times_as_fast_or_what_share(self):
        self.assertEqual(run.ratio(FASTER, 2.0, 6.0), 3.0)
        self.assertEqual(run.ratio(SHARE, 3.0, 4.0), 0.75)

    def test_verdict_knows_both_directions(self):
        self.assertEqual([run.verdict(FASTER, v) for v in (1.99, 2.0, 2.99, 3.0)], ["missed", "bar", "bar", "aim"])
        self.assertEqual([run.verdict(SHARE, v) for v in (1.11, 1.1, 0.91, 0.9)], ["missed", "bar", "bar", "aim"])

    def test_kernels_compare_with_the_fastest_other_library(self):
        entries = [{"name": n, "real_time": t} for n, t in
                   (("gemm_loru/64", 4.0), ("gemm_loru/64", 2.0), ("gemm_loru/64", 3.0), ("gemm_eigen/64", 6.0),
                    ("gemm_openblas/64", 2.4), ("gemm_loru/8", 1.0), ("gemm_eigen/8", 2.0), ("alone_loru/1", 1.0),
                    ("other_eigen/1", 1.0))]
        entries.append({"name": "gemm_loru/8", "real_time": 9.0, "run_type": "aggregate"})
        found = run.kernel_ratios(entries)
        self.assertEqual(set(found), {"gemm/64", "gemm/8"})
        self.assertAlmostEqual(found["gemm/64"], 0.8)
        self.assertAlmostEqual(found["gemm/8"], 2.0)


class Pairs(unittest.TestCase):
    """A runner that times nothing: ours takes 2, 4, 3 ms, the quick variant always 8, the slow one 9."""

    def measure(self, row, debian=True):
        ours, self.calls = iter((2.0, 4.0, 3.0)), []

        def run_command(command, row=None, peer=False):
            self.calls.append(command)
            if not peer:
                return {"ms": next(ours)}
            if "broken" in command:
                raise RuntimeError("broken")
            return {"ms": 8.0 if "quick" in command else 9.0, "torch": "1"}

        return run.measure(run_command, row, debian)

    def row(self, *variants):
        return run.Row(name="a", work="", against="", ours="ours", value="ms", theirs="ms", at_least=2, aim=3,
                       variants=variants, probe="--short")

    def test_fastest_variant_is_measured_in_turn_with_ours(self):
        result = self.measure(self.row("{python} slow", "{python} broken", "{debian} quick"))
        self.assertEqual(self.calls[3:], ["ours", "{debian} quick"] * 3)
        self.assertEqual(result["variant"], "{debian} quick")
        self.assertEqual((result["ours"], result["theirs"]), (3.0, 8.0))
        self.assertEqual(result["ratios"], [4.0, 2.0, 8.0 / 3.0])
        self.assertEqual(result["ratio"], 8.0 / 3.0)  # of the medians
        self.assertEqual(result["versions"], {"torch": "1"})

    def test_missing_python_is_left_out_and_no_variant_is_an_error(self):
        self.assertEqual(self.measure(self.row("{python} slow", "{debian} quick"), debian=False)["theirs"], 9.0)
        with self.assertRaisesRegex(RuntimeError, "no variant"):
            self.measure(self.row("{python} broken"))

    def test_share_of_itself_needs_one_program(self):
        samples = iter(({"low": 9.0, "dense": 10.0}, {"low": 8.0, "dense": 10.0}, {"low": 7.0, "dense": 10.0}))
        self.assertAlmostEqual(run.measure(lambda *_: next(samples), SHARE, True)["ratio"], 0.8)


class Table(unittest.TestCase):
    def test_rows_with_results_in_order(self):
        results = {"b": {"ours": 90.0, "theirs": 100.0, "ratio": 0.9, "machine": MACHINE},
                   "a": {"ours": 1.234, "theirs": 3.0, "ratio": 2.43, "machine": MACHINE, "versions": {"torch": "2"}}}
        lines = run.table((FASTER, SHARE, run.ROWS[0]), results).splitlines()
        self.assertEqual(lines[2], "| work A | peer (torch 2) | 1.23 ms | 3.00 ms | 2.43 | 2 | 3 | bar |")
        self.assertEqual(lines[3], "| work B | itself | 90.0 ms | 100 ms | 0.90 | ≤ 1.1 | ≤ 0.9 | aim |")
        self.assertEqual(lines[4:], ["", "Measured 2030-01-02 on CPU X, 2 cores, Linux, g++ 12."])

    def test_machines_have_tables_of_their_own(self):
        results = {"a": {"ratio": 2.5, "machine": {**MACHINE, "cpu": "CPU Y"}}, "b": {"ratio": 0.8, "machine": MACHINE}}
        parts = run.table((FASTER, SHARE), results).split("\n\n")
        self.assertEqual(len(parts), 4)
        self.assertIn("work B", parts[0])
        self.assertNotIn("work A", parts[0])
        self.assertIn("CPU X", parts[1])
        self.assertIn("work A", parts[2])
        self.assertIn("CPU Y", parts[3])

    def test_only_what_stands_between_the_markers_changes(self):
        text = f"before\n{run.BEGIN}\nold\n{run.END}\nafter\n"
        self.assertEqual(run.put_table(text, "new"), text.replace("old", "new"))
        with self.assertRaisesRegex(ValueError, "expected one"):
            run.put_table("no markers", "new")

    def test_docs_have_the_markers(self):
        run.put_table(run.TABLE.read_text(), "new")

    def test_names_are_unique_and_commands_complete(self):
        names = [row.name for row in run.ROWS]
        self.assertEqual(len(set(names)), len(names))
        places = dict(bin="b", peers="p", python="y", debian="d", data="x")
        for row in run.ROWS:
            for command in (row.ours, *row.variants):
                command.format(**places)
                self.assertTrue("{data}" not in command or row.data, row.name)

    def test_json_is_the_last_line_that_is_an_object(self):
        self.assertEqual(run.last_json('noise\n{"a": 1}\n{"a": 2}\n3\nbye'), {"a": 2})
        self.assertEqual(run.last_json('{\n "benchmarks": []\n}\n'), {"benchmarks": []})
        with self.assertRaisesRegex(ValueError, "expected a line of JSON"):
            run.last_json("nothing")


if __name__ == "__main__":
    unittest.main()
