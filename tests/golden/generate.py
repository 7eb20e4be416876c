"""Writes the golden files of this folder: what PyTorch computes, for loru to be compared with.

    pip install torch==2.13.0 numpy safetensors
    python3 generate.py

A case is written twice, computed in double (NAME.f64.safetensors) and in single precision (NAME.f32.safetensors),
from the same inputs: numbers that both types hold exactly. Values are row-major, images (N, C, H, W).

A layer's file holds its input `x`, its parameters, its output `y`, a fixed `dy`, and the gradients of sum(y * dy):
`dx` and `d_<parameter>`. A training file holds a batch (`x`, `target`), the parameters before (`step0.`) and after
each step (`step1.` ...), the loss of each step (`losses`) and the frozen weights. Options stand in the metadata.
"""

import json
import pathlib
import zlib

import numpy as np
import torch
from safetensors.torch import save
from torch import nn
from torch.nn import functional as F

FOLDER = pathlib.Path(__file__).parent
TYPES = {"f64": torch.float64, "f32": torch.float32}


class Source:
    """Random tensors that depend on the case alone, exact in both types."""

    def __init__(self, case, dtype):
        self.generator = np.random.default_rng(zlib.crc32(case.encode()))
        self.dtype = dtype

    def normal(self, *shape, scale=1.0):
        values = (scale * self.generator.standard_normal(shape)).astype(np.float32)
        return torch.from_numpy(values).to(self.dtype)

    def labels(self, count, classes):
        return torch.from_numpy(self.generator.integers(0, classes, count))


def write(case, kind, tensors, **options):
    metadata = {"torch": torch.__version__, "case": case}
    metadata |= {key: str(value) for key, value in options.items()}
    tensors = {name: tensor.detach().contiguous().clone() for name, tensor in tensors.items()}
    (FOLDER / f"{case}.{kind}.safetensors").write_bytes(with_sorted_header(save(tensors, metadata)))


def with_sorted_header(message):
    """The package writes metadata in random order; the same numbers should give the same file."""
    length = int.from_bytes(message[:8], "little")
    header = json.dumps(json.loads(message[8 : 8 + length]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + message[8 + length :]


def gradient_name(name):
    return "dx" if name == "x" else f"d_{name}"


def layer(case, inputs, compute, results=None, loss=False, constants=(), **options):
    """Writes a case: inputs(source) gives tensors by name, compute(those) gives y (or the loss itself), and
    results(those), if given, more tensors to write. Gradients are written of all inputs but the constants."""
    for kind, dtype in TYPES.items():
        source = Source(case, dtype)
        given = inputs(source)
        before = {name: tensor.clone() for name, tensor in given.items()}
        for name, tensor in given.items():
            if name not in constants:
                tensor.requires_grad_()
        y = compute(given)
        tensors = {"loss" if loss else "y": y}
        if not loss:
            tensors["dy"] = source.normal(*y.shape)
        (y if loss else (y * tensors["dy"]).sum()).backward()
        tensors |= {gradient_name(name): t.grad for name, t in given.items() if name not in constants}
        tensors |= results(given) if results else {}
        write(case, kind, before | tensors, **options)


# ---- layers ----


def linear(case, m, n, rows, bias=True):
    def inputs(source):
        tensors = {"x": source.normal(rows, n), "weight": source.normal(m, n, scale=n**-0.5)}
        return tensors | ({"bias": source.normal(m)} if bias else {})

    layer(case, inputs, lambda t: F.linear(t["x"], t["weight"], t.get("bias")))


def conv2d(case, x, weight, bias=True, **options):
    options = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1} | options

    def inputs(source):
        fan_in = weight[1] * weight[2] * weight[3]
        tensors = {"x": source.normal(*x), "weight": source.normal(*weight, scale=fan_in**-0.5)}
        return tensors | ({"bias": source.normal(weight[0])} if bias else {})

    layer(case, inputs, lambda t: F.conv2d(t["x"], t["weight"], t.get("bias"), **options), **options)


def batch_norm(case, x, training, momentum=0.1, eps=1e-5):
    """The running statistics before are `running_mean` and `running_var`, those after `updated.running_...`."""
    constants = ("running_mean", "running_var")

    def inputs(source):
        channels = x[1]
        return {
            "x": 2 * source.normal(*x) + 0.5,
            "weight": source.normal(channels),
            "bias": source.normal(channels),
            "running_mean": source.normal(channels),
            "running_var": source.normal(channels).abs() + 0.5,
        }

    def compute(t):
        t["updated.running_mean"], t["updated.running_var"] = (t[name].clone() for name in constants)
        return F.batch_norm(t["x"], t["updated.running_mean"], t["updated.running_var"], t["weight"], t["bias"],
                            training, momentum, eps)  # fmt: skip

    updated = tuple(f"updated.{name}" for name in constants)
    layer(case, inputs, compute, lambda t: {name: t[name] for name in updated}, constants=constants + updated,
          training=training, momentum=momentum, eps=eps)  # fmt: skip


def group_norm(case, x, groups, eps=1e-5):
    def inputs(source):
        return {"x": 2 * source.normal(*x) + 0.5, "weight": source.normal(x[1]), "bias": source.normal(x[1])}

    layer(case, inputs, lambda t: F.group_norm(t["x"], groups, t["weight"], t["bias"], eps), groups=groups, eps=eps)


def elementwise(case, shape, function, **options):
    layer(case, lambda source: {"x": 2 * source.normal(*shape)}, lambda t: function(t["x"]), **options)


def losses():
    def logits(source):
        return {"x": 3 * source.normal(7, 10), "target": source.labels(7, 10)}

    def values(source):
        return {"x": source.normal(5, 3), "target": source.normal(5, 3)}

    layer("cross_entropy", logits, lambda t: F.cross_entropy(t["x"], t["target"]), loss=True, constants=("target",))
    layer("mse", values, lambda t: F.mse_loss(t["x"], t["target"]), loss=True, constants=("target",))


# ---- factored layers: weight + s * B * A, s = alpha / rank ----


def low_rank(weight, a, b, s):
    """weight + s * B * A for a weight (m, n) or (m, Cin, kh, kw), A (r, ...) shaped as the weight, B (m, r)."""
    return weight + s * torch.tensordot(b, a, dims=1)


def factored(case, x, weight, rank, alpha, function, **options):
    """A layer whose weight is frozen and factored; `merged.weight` is what a merge makes of it."""

    def inputs(source):
        fan_in = int(np.prod(weight[1:]))
        return {
            "x": source.normal(*x),
            "weight": source.normal(*weight, scale=fan_in**-0.5),
            "bias": source.normal(weight[0]),
            "lora_A.weight": source.normal(rank, *weight[1:], scale=fan_in**-0.5),
            "lora_B.weight": source.normal(weight[0], rank, scale=rank**-0.5),
        }

    def effective(t):
        return low_rank(t["weight"], t["lora_A.weight"], t["lora_B.weight"], alpha / rank)

    layer(case, inputs, lambda t: function(t["x"], effective(t), t["bias"], **options),
          lambda t: {"merged.weight": effective(t)}, constants=("weight",), rank=rank, alpha=alpha, **options)  # fmt: skip


# ---- training ----


class SmallCnn(nn.Module):
    """conv1 5x5 1 -> 4, conv2 5x5 4 -> 6 (factored, rank 3), fc1 -> 16 (factored, rank 4), fc2 -> 10, on 1x12x12."""

    ALPHA = {"conv2": 6.0, "fc1": 2.0}
    SHAPES = {
        "conv1": {"weight": (4, 1, 5, 5), "bias": (4,)},
        "conv2": {"weight": (6, 4, 5, 5), "bias": (6,), "lora_A.weight": (3, 4, 5, 5), "lora_B.weight": (6, 3)},
        "fc1": {"weight": (16, 54), "bias": (16,), "lora_A.weight": (4, 54), "lora_B.weight": (16, 4)},
        "fc2": {"weight": (10, 16), "bias": (10,)},
    }

    def __init__(self, source):
        super().__init__()
        self.values = {}
        for name, shapes in self.SHAPES.items():
            for part, shape in shapes.items():
                scale = 0.1 if part == "bias" else int(np.prod(shape[1:])) ** -0.5
                value = nn.Parameter(source.normal(*shape, scale=scale))
                value.requires_grad = not (part == "weight" and name in self.ALPHA)
                self.values[f"{name}.{part}"] = value

    def trained(self):
        return {name: value for name, value in self.values.items() if value.requires_grad}

    def frozen(self):
        return {name: value for name, value in self.values.items() if not value.requires_grad}

    def weight(self, name):
        v = self.values
        if name not in self.ALPHA:
            return v[f"{name}.weight"]
        a, b = v[f"{name}.lora_A.weight"], v[f"{name}.lora_B.weight"]
        return low_rank(v[f"{name}.weight"], a, b, self.ALPHA[name] / a.shape[0])

    def forward(self, x):
        for name in ("conv1", "conv2"):
            x = F.max_pool2d(F.relu(F.conv2d(x, self.weight(name), self.values[f"{name}.bias"], padding=2)), 2)
        x = F.relu(F.linear(x.flatten(1), self.weight("fc1"), self.values["fc1.bias"]))
        return F.linear(x, self.weight("fc2"), self.values["fc2.bias"])


def training(case, optimizer, clip_norm=0.0, steps=5, **options):
    """Steps on one batch. With clip_norm, `norms` holds the gradient norm of each step before it is clipped."""
    for kind, dtype in TYPES.items():
        source = Source("small cnn", dtype)  # the same start for every optimizer
        model = SmallCnn(source)
        x, target = source.normal(5, 1, 12, 12), source.labels(5, 10)
        tensors = {"x": x, "target": target} | model.frozen()
        trained = model.trained()
        step = optimizer(trained.values(), **options)
        losses, norms = [], []
        tensors |= {f"step0.{name}": value.detach().clone() for name, value in trained.items()}
        for k in range(1, steps + 1):
            step.zero_grad()
            loss = F.cross_entropy(model(x), target)
            loss.backward()
            losses.append(loss.detach())
            if k == 1:
                tensors |= {f"step1.d_{name}": value.grad.clone() for name, value in trained.items()}
            if clip_norm:
                norms.append(nn.utils.clip_grad_norm_(list(trained.values()), clip_norm))
            step.step()
            tensors |= {f"step{k}.{name}": value.detach().clone() for name, value in trained.items()}
        tensors["losses"] = torch.stack(losses)
        if norms:
            tensors["norms"] = torch.stack(norms)
        alphas = {f"{name}.alpha": alpha for name, alpha in SmallCnn.ALPHA.items()}
        settings = {key: value for key, value in options.items() if key != "betas"}
        settings |= dict(zip(("beta1", "beta2"), options.get("betas", ())))
        write(case, kind, tensors, steps=steps, clip_norm=clip_norm, **settings, **alphas)


def clip():
    """Gradients of three tensors before (`d_...`) and after (`clipped.d_...`) clipping their common norm."""
    for kind, dtype in TYPES.items():
        source = Source("clip", dtype)
        tensors = {}
        values = {name: source.normal(*shape) for name, shape in {"a": (3, 4), "b": (5,), "c": (2, 3, 2, 1)}.items()}
        for value in values.values():
            value.grad = source.normal(*value.shape)
        tensors |= {f"d_{name}": value.grad.clone() for name, value in values.items()}
        tensors["norm"] = nn.utils.clip_grad_norm_(list(values.values()), 0.1)
        tensors |= {f"clipped.d_{name}": value.grad for name, value in values.items()}
        write("clip", kind, tensors, clip_norm=0.1)


def main():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    linear("linear", m=7, n=11, rows=5)
    linear("linear_without_bias", m=3, n=9, rows=1, bias=False)
    conv2d("conv2d", x=(3, 2, 7, 6), weight=(5, 2, 3, 3))
    conv2d("conv2d_padding", x=(2, 3, 6, 5), weight=(4, 3, 5, 5), padding=2)
    conv2d("conv2d_stride", x=(2, 3, 9, 7), weight=(4, 3, 3, 3), stride=2, padding=1)
    conv2d("conv2d_dilation", x=(2, 2, 9, 8), weight=(3, 2, 3, 3), dilation=2, padding=1)
    conv2d("conv2d_groups", x=(2, 4, 5, 7), weight=(6, 2, 3, 3), groups=2, padding=1)
    conv2d("conv2d_depthwise", x=(2, 3, 5, 5), weight=(3, 1, 3, 3), groups=3, padding=1, bias=False)
    conv2d("conv2d_pointwise", x=(2, 5, 4, 3), weight=(4, 5, 1, 1))
    conv2d("conv2d_shortcut", x=(2, 3, 7, 5), weight=(6, 3, 1, 1), stride=2, bias=False)
    conv2d("conv2d_batch1", x=(1, 3, 5, 5), weight=(2, 3, 3, 3), padding=1, bias=False)
    conv2d("conv2d_everything", x=(1, 4, 11, 9), weight=(6, 2, 3, 2), stride=2, padding=2, dilation=2, groups=2)
    batch_norm("batch_norm_train", x=(3, 4, 5, 3), training=True)
    batch_norm("batch_norm_eval", x=(3, 4, 5, 3), training=False)
    group_norm("group_norm", x=(3, 6, 5, 3), groups=3)
    elementwise("relu", (4, 9), F.relu)
    elementwise("gelu", (4, 9), F.gelu)
    elementwise("max_pool2d", (2, 3, 7, 6), lambda x: F.max_pool2d(x, 2), kernel=2, stride=2, padding=0)
    elementwise("max_pool2d_overlapping", (2, 3, 7, 6), lambda x: F.max_pool2d(x, 3, 2, 1), kernel=3, stride=2,
                padding=1)  # fmt: skip
    elementwise("adaptive_avg_pool2d", (2, 3, 5, 4), lambda x: F.adaptive_avg_pool2d(x, 1), height=1, width=1)
    elementwise("adaptive_avg_pool2d_odd", (2, 3, 5, 7), lambda x: F.adaptive_avg_pool2d(x, (2, 3)),
                height=2, width=3)  # fmt: skip
    losses()
    factored("factored_linear", x=(6, 13), weight=(9, 13), rank=4, alpha=6.0, function=F.linear)
    factored("factored_conv2d", x=(2, 4, 7, 6), weight=(6, 4, 3, 3), rank=3, alpha=1.5, function=F.conv2d, stride=1,
             padding=1, dilation=1)  # fmt: skip
    factored("factored_conv2d_stride", x=(1, 3, 9, 8), weight=(5, 3, 3, 3), rank=2, alpha=4.0, function=F.conv2d,
             stride=2, padding=2, dilation=2)  # fmt: skip
    sgd = {"lr": 0.05, "momentum": 0.9, "weight_decay": 1e-4}
    adam = {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.01}
    training("training_sgd", torch.optim.SGD, **sgd)
    training("training_nesterov", torch.optim.SGD, nesterov=True, **sgd)
    training("training_clipped", torch.optim.SGD, clip_norm=0.1, **sgd)
    training("training_adam", torch.optim.Adam, **adam)
    training("training_adamw", torch.optim.AdamW, **adam)
    clip()


if __name__ == "__main__":
    main()
