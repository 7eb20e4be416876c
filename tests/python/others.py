"""What docs/python.md says of pandas and PyTorch, where they are installed (`./dev test --extras` installs pandas,
`extras.py --only torch` PyTorch too)."""
import importlib.util
import unittest

import numpy as np

import support
from support import TINY, Case, read_csv, with_keys

import loru


def needs(module):
    return unittest.skipUnless(importlib.util.find_spec(module), f"{module} is not installed")


@needs("pandas")
class Pandas(Case):
    def test_rows_and_tables_are_data_frames(self):
        import pandas

        run = loru.run(TINY, out="a")
        frame = pandas.DataFrame(run.rows)
        written = pandas.read_csv("a/rounds.csv")
        pandas.testing.assert_frame_equal(frame, written, check_exact=False, rtol=1e-12)
        self.assertTrue(np.isnan(frame["test_accuracy"][0]))
        comparison = loru.compare({"a": TINY, "b": with_keys(TINY, algorithm={"name": "fedavg"})}, out="b", seeds=[1, 2])
        for columns, file, rows in ((comparison.table, "compare.csv", 2), (comparison.runs, "runs.csv", 4)):
            frame = pandas.DataFrame(columns)
            self.assertEqual(len(frame), rows)
            self.assertEqual(list(frame), list(pandas.read_csv(f"b/{file}")))
        frame = pandas.DataFrame(comparison.rounds["a"][1])
        self.assertEqual(list(frame["round"]), list(read_csv("b/a/seed-1/rounds.csv")["round"]))


@needs("torch")
class Torch(Case):
    def check(self, name, sample, module, **tables):
        """The module takes the merged state and has the model's outputs, and the model takes the module's state."""
        import torch

        draw = np.random.default_rng(1)
        model = loru.Model(name, sample, 10, lowrank={"rank": 2, "small_layers": "dense"}, **tables)
        # Factors and statistics of no special values; variances are positive.
        model.load_state_dict({key: values if "running" not in key and ".lora_B" not in key else
                               draw.uniform(0.5, 1.5, values.shape).astype(np.float32)
                               for key, values in model.state_dict().items()})
        merged = model.state_dict(merged=True)
        module.load_state_dict({key: torch.tensor(array) for key, array in merged.items()})
        module.eval()
        x = draw.normal(size=(5, *sample)).astype(np.float32)
        with torch.no_grad():
            np.testing.assert_allclose(model.predict(x), module(torch.tensor(x)).numpy(), rtol=1e-4, atol=1e-4)
        dense = loru.Model(name, sample, 10, "fedavg", seed=9)
        before = dense.sha256
        dense.load_state_dict(module.state_dict())
        self.assertNotEqual(dense.sha256, before)
        np.testing.assert_allclose(dense.predict(x), model.predict(x), rtol=1e-4, atol=1e-4)
        for key, array in dense.state_dict().items():
            np.testing.assert_array_equal(array, merged[key], key)
        return model, module

    def test_a_module_of_dense_layers(self):
        from torch import nn

        class Mlp(nn.Module):
            def __init__(self, widths):
                super().__init__()
                self.fc1, self.fc2, self.fc3 = (nn.Linear(n, m) for n, m in zip(widths, widths[1:]))

            def forward(self, x):
                return self.fc3(self.fc2(self.fc1(x.flatten(1)).relu()).relu())

        state = loru.Model("mlp", (12,), 10).state_dict()
        self.check("mlp", (12,), Mlp([12, *(len(state[f"fc{i}.bias"]) for i in (1, 2, 3))]))

    def test_a_module_of_convolutions(self):
        from torch import nn

        class Cnn(nn.Module):
            def __init__(self, state):
                super().__init__()
                shapes = {key[:-len(".weight")]: value.shape for key, value in state.items() if value.ndim > 1}
                for layer, (m, n, *window) in shapes.items():
                    setattr(self, layer, nn.Conv2d(n, m, window[0], padding="same") if window else nn.Linear(n, m))

            def forward(self, x):
                for convolution in (self.conv1, self.conv2):
                    x = nn.functional.max_pool2d(convolution(x).relu(), 2)
                return self.fc2(self.fc1(x.flatten(1)).relu())

        self.check("cnn", (1, 8, 8), Cnn(loru.Model("cnn", (1, 8, 8), 10, "fedavg").state_dict()))

    def test_a_module_with_batch_normalisation(self):
        from torch import nn

        class Block(nn.Module):
            def __init__(self, n, m, stride):
                super().__init__()
                self.conv1, self.bn1 = nn.Conv2d(n, m, 3, stride, 1, bias=False), nn.BatchNorm2d(m)
                self.conv2, self.bn2 = nn.Conv2d(m, m, 3, 1, 1, bias=False), nn.BatchNorm2d(m)
                self.downsample = nn.Sequential() if n == m else nn.Sequential(
                    nn.Conv2d(n, m, 1, stride, bias=False), nn.BatchNorm2d(m))

            def forward(self, x):
                return (self.bn2(self.conv2(self.bn1(self.conv1(x)).relu())) + self.downsample(x)).relu()

        class ResNet10(nn.Module):
            def __init__(self):
                super().__init__()
                self.conv1, self.bn1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64)
                for stage in range(4):
                    block = Block(max(64, 32 << stage), 64 << stage, 2 if stage else 1)
                    setattr(self, f"layer{stage + 1}", nn.Sequential(block))
                self.fc = nn.Linear(512, 10)

            def forward(self, x):
                x = self.bn1(self.conv1(x)).relu()
                for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
                    x = layer(x)
                return self.fc(x.mean((2, 3)))

        _, module = self.check("resnet10", (3, 8, 8), ResNet10())
        self.assertIn("bn1.num_batches_tracked", module.state_dict())


if __name__ == "__main__":
    support.main()
