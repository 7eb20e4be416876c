"""loru.Model: outputs, named arrays, files and adapters."""
import copy
import json
import subprocess

import numpy as np

import support
from support import TINY, Case, federate, read_csv, said, with_keys

import loru


def cnn(seed=1, **tables):
    return loru.Model("cnn", (1, 8, 8), 10, seed=seed, lowrank={"rank": 4, "alpha": 8, "small_layers": "dense"}, **tables)


class Models(Case):
    def test_outputs_are_federates(self):
        x = np.random.default_rng(1).normal(size=(50, 12)).astype(np.float32)
        y = (x[:, 0] > 0).astype(np.int32) + (x[:, 1] > 0)
        for name in ("train", "test"):
            loru.save_arrays(f"{name}.safetensors", x, y)
        data = {"name": "safetensors", "train": "train.safetensors", "test": "test.safetensors", "normalise": True}
        run = loru.run({"data": data, "model": {"name": "mlp"}, "lowrank": {"rank": 2},
                        "federation": {"clients": 5, "cohort": 2, "rounds": 3}}, out="a")
        done = federate("predict", "a", "--data", "test.safetensors", "--out", "y.csv")
        self.assertEqual(done.returncode, 0, done.stderr)
        outputs = np.stack(list(read_csv("y.csv").values()), axis=1)
        np.testing.assert_array_equal(run.model.predict(x, threads=2), outputs.astype(np.float32))
        strided = np.asfortranarray(x)
        np.testing.assert_array_equal(run.model.predict(strided), run.model.predict(x))
        measured = run.model.evaluate(x, y)
        self.assertEqual(measured["accuracy"], run.summary["final_test_accuracy"])
        self.assertEqual(measured["loss"], run.summary["final_test_loss"])
        with self.assertRaisesRegex(loru.DataError, r"x: expected samples of shape \(12\)"):
            run.model.predict(x[:, :5])
        with self.assertRaisesRegex(loru.DataError, "predict: x: expected at least one sample"):
            run.model.predict(x[:0])
        x[3, 2] = np.nan
        with self.assertRaisesRegex(loru.DataError, "x: sample 3: expected finite features"):
            run.model.predict(x)

    def test_copies_are_apart(self):
        model = loru.Model("mlp", (12,), 3)
        for other in (copy.copy(model), copy.deepcopy(model), model.copy()):
            before = model.sha256
            self.assertEqual(other.sha256, before)
            other.load_state_dict({name: values + 1 for name, values in model.state_dict().items()})
            self.assertNotEqual(other.sha256, before)
            self.assertEqual(model.sha256, before)

    def test_extents_that_no_memory_holds(self):
        for sample in ((2**31, 2**31, 4), (2**62,), (2**32, 2**32, 1), (0,), (3, -1, 4)):
            with self.assertRaisesRegex(loru.ConfigError, "sample: expected extents"):
                loru.Model("mlp", sample, 3)
        with self.assertRaisesRegex(loru.ConfigError, "outputs: expected 1 .. 2147483647"):
            loru.Model("logistic", (12,), 2**62)

    def test_bytes(self):
        run = loru.run({"data": {"name": "digits"}, "model": {"name": "mlp"},
                        "federation": {"clients": 20, "cohort": 2, "rounds": 1}})
        x = np.zeros((3, 1, 8, 8), np.float32)
        self.assertEqual(run.model.predict(x.astype(np.uint8)).shape, (3, 10))
        with self.assertRaisesRegex(loru.DataError, "x: expected uint8 as in digits, got float32"):
            run.model.predict(x)
        model = loru.Model("mlp", (1, 8, 8), 10, dtype="uint8")
        raw = np.arange(128, dtype=np.uint8).reshape(2, 1, 8, 8)
        same = loru.Model("mlp", (1, 8, 8), 10)
        np.testing.assert_allclose(model.predict(raw), same.predict(raw.astype(np.float32) / 255), rtol=1e-4, atol=1e-6)
        with self.assertRaisesRegex(loru.DataError, "x: expected uint8 as in the model, got float32"):
            model.predict(x)

    def test_arrays_by_name(self):
        model = cnn()
        state = model.state_dict()
        self.assertEqual(state["conv2.weight"].ndim, 4)
        factored = [name[: -len(".lora_A.weight")] for name in state if name.endswith(".lora_A.weight")]
        self.assertTrue(factored)
        for array in state.values():
            self.assertFalse(array.flags.writeable)
        # y = x·(W + s·B·A)ᵀ: the merged weights are those.
        draw = np.random.default_rng(1)
        changed = {name: draw.normal(size=array.shape).astype(array.dtype) for name, array in state.items()}
        model.load_state_dict(changed)
        for name, array in model.state_dict().items():
            np.testing.assert_array_equal(array, changed[name], name)
        merged = model.state_dict(merged=True)
        self.assertEqual(set(merged), {name for name in state if ".lora_" not in name})
        for layer in factored:
            w, a, b = (changed[f"{layer}.{part}"] for part in ("weight", "lora_A.weight", "lora_B.weight"))
            update = 8 / 4 * b.reshape(len(b), -1) @ a.reshape(len(a), -1)
            np.testing.assert_allclose(merged[f"{layer}.weight"].reshape(update.shape),
                                       w.reshape(update.shape) + update, rtol=1e-5, atol=1e-5)
        # The arrays given before are of the model before.
        self.assertFalse(np.array_equal(state["conv2.weight"], changed["conv2.weight"]))

    def test_copies_and_failures_leave_a_model_alone(self):
        model = cnn()
        before, copy = model.sha256, model.copy()
        state = dict(model.state_dict())
        state["fc1.bias"] = np.zeros(3, np.float32)
        wrong = [({}, "expected a tensor named"), (state, "tensor fc1.bias: expected shape"),
                 ({**model.state_dict(), "fc1.bias": "no"}, "tensor fc1.bias: expected float32"),
                 ({**model.state_dict(), "fc1.weight": model.state_dict()["fc1.weight"].astype(np.float64)},
                  "tensor fc1.weight: expected dtype F32, got F64"),
                 ({**model.state_dict(), "fc1.other": np.zeros(1, np.float32)}, "tensor fc1.other"),
                 ({**model.state_dict(), "zzz": np.zeros(1, np.float32)}, "^state: tensor zzz: expected one of the model, "
                                                                         "nearest is fc1.bias$"),
                 ({**model.state_dict(), "fc1.num_batches_tracked": np.int64(3)}, "tensor fc1.num_batches_tracked"),
                 *(({**model.state_dict(), "fc1.bias": np.full_like(model.state_dict()["fc1.bias"], value)},
                    "^state: tensor fc1.bias: expected finite numbers$") for value in (np.nan, np.inf))]
        for bad, text in wrong:
            with self.subTest(text=text), self.assertRaisesRegex(loru.DataError, text):
                model.load_state_dict(bad)
        with self.assertRaisesRegex(loru.ConfigError, r"^state: expected names without NUL, got 'fc1.bias.x00'$"):
            model.load_state_dict({**model.state_dict(), "fc1.bias\0": np.zeros(1, np.float32)})
        for state, text in (([1], "expected a dict of arrays, got list"), ({1: np.zeros(1)}, "expected names, got int")):
            with self.assertRaisesRegex(TypeError, f"^state: {text}$"):
                model.load_state_dict(state)
        self.assertEqual(model.sha256, before)
        model.load_state_dict({name: array * 2 for name, array in model.state_dict().items()})
        self.assertNotEqual(model.sha256, before)
        self.assertEqual(copy.sha256, before)

    def test_counters_of_batch_normalisation_are_left_out(self):
        model = loru.Model({"name": "resnet10", "narrow": 8}, (3, 8, 8), 10, "fedavg")
        norms = [name[: -len("running_mean")] for name in model.state_dict() if name.endswith("running_mean")]
        self.assertGreater(len(norms), 5)
        before = model.sha256
        state = {**model.state_dict(), **{f"{norm}num_batches_tracked": np.int64(7) for norm in norms}}
        model.load_state_dict(state)
        self.assertEqual(model.sha256, before)

    def test_paths(self):
        model = cnn()
        for call in (model.save, model.load, model.save_peft, model.load_peft):
            for path, text in (("", "expected a path, got an empty one"), ("a\0b", "expected a path without NUL, got 'a.x00b'"),
                               ("\udcff", "expected text, got '.udcff'")):
                with self.subTest(call=call.__name__), self.assertRaisesRegex(loru.ConfigError, f"^(path|folder): {text}$"):
                    call(path)
            for path in (3, None, b"a", ["a"]):
                with self.assertRaisesRegex(TypeError, f"^(path|folder): expected a path, got {type(path).__name__}$"):
                    call(path)
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_files_that_are_not_finite(self):
        model = cnn()
        before = model.sha256
        model.save("a.safetensors")
        content = bytearray((self.folder / "a.safetensors").read_bytes())
        content[-4:] = np.float32(np.nan).tobytes()
        (self.folder / "a.safetensors").write_bytes(content)
        with self.assertRaisesRegex(loru.DataError, "^a.safetensors: tensor .*: expected finite numbers$"):
            model.load("a.safetensors")
        self.assertEqual(model.sha256, before)

    def test_files(self):
        run = loru.run(TINY, out="a")
        model = loru.Model.from_configuration("a/config.toml", (1, 4, 4), 4)
        model.load("a/model.safetensors")
        self.assertEqual(model.sha256, run.summary["model_sha256"])
        model.save("b.safetensors")
        self.assertEqual((self.folder / "b.safetensors").read_bytes(), (self.folder / "a/model.safetensors").read_bytes())
        self.assertEqual(federate("export", "a", "--merged", "c.safetensors").returncode, 0)
        model.save("d.safetensors", merged=True)
        self.assertEqual((self.folder / "c.safetensors").read_bytes(), (self.folder / "d.safetensors").read_bytes())
        (self.folder / "bad.safetensors").write_bytes(b"nothing")
        with self.assertRaisesRegex(loru.DataError, "bad.safetensors"):
            model.load("bad.safetensors")
        with self.assertRaisesRegex(loru.IoError, "nowhere.safetensors"):
            model.load("nowhere.safetensors")
        with self.assertRaises(loru.IoError):
            model.save("nowhere/model.safetensors")

    def test_adapters(self):
        model, other = cnn(), cnn()
        draw = np.random.default_rng(1)
        model.load_state_dict({name: draw.normal(size=array.shape).astype(array.dtype) if ".lora_" in name else array
                               for name, array in model.state_dict().items()})
        model.save_peft("adapter")
        config = json.loads((self.folder / "adapter/adapter_config.json").read_text())
        self.assertEqual((config["peft_type"], config["r"], config["lora_alpha"]), ("LORA", 4, 8))
        other.load_peft("adapter")
        for name, array in model.state_dict().items():
            np.testing.assert_array_equal(other.state_dict()[name], array, name)
        dense = loru.Model("cnn", (1, 8, 8), 10, "fedavg")
        with self.assertRaises(loru.ConfigError):
            dense.save_peft("none")
        with self.assertRaises(loru.Error):
            other.load_peft("nowhere")


if __name__ == "__main__":
    support.main()
