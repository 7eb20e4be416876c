#!/usr/bin/env python3
"""Compares federate spectrum with curvlinops, an independent implementation in PyTorch.

    against_curvlinops.py FEDERATE

Needs torch, curvlinops-for-pytorch, numpy, scipy and safetensors from PyPI; no test runs it. It trains an mlp on
random vectors for two rounds, measures Hessian and Gauss-Newton over all samples, and does the same in PyTorch from
the saved model: the norm by scipy's eigsh, the squared Frobenius norm by the mean of ‖H·g‖² over random probes in
float64, with its standard error.
"""
import csv
import math
import os
import subprocess
import sys
import tempfile

import numpy as np
import torch
from curvlinops import GGNLinearOperator, HessianLinearOperator
from safetensors.numpy import load_file, save_file
from scipy.sparse.linalg import LinearOperator, eigsh

SAMPLES, FEATURES, CLASSES, PROBES = 400, 12, 10, 2000

CONFIGURATION = """
[data]
name = "safetensors"
train = "train.safetensors"
test = "train.safetensors"
[model]
name = "mlp"
[algorithm]
name = "fedavg"
[federation]
clients = 4
cohort = 4
rounds = 2
"""


def write_data(folder):
    draw = np.random.default_rng(3)
    x = draw.standard_normal((SAMPLES, FEATURES)).astype(np.float32)
    y = draw.integers(0, CLASSES, SAMPLES).astype(np.int32)
    save_file({"x": x, "y": y}, os.path.join(folder, "train.safetensors"))
    with open(os.path.join(folder, "run.toml"), "w", encoding="utf-8") as file:
        file.write(CONFIGURATION)
    return torch.tensor(x, dtype=torch.float64), torch.tensor(y, dtype=torch.int64)


def model_of(path):
    values = load_file(path)
    layers = []
    for name in ("fc1", "fc2", "fc3"):
        weight = torch.tensor(values[f"{name}.weight"], dtype=torch.float64)
        layer = torch.nn.Linear(weight.shape[1], weight.shape[0], dtype=torch.float64)
        with torch.no_grad():
            layer.weight.copy_(weight)
            layer.bias.copy_(torch.tensor(values[f"{name}.bias"], dtype=torch.float64))
        layers += [layer, torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


def measured(operator):
    """Norm, squared Frobenius norm and its standard error."""
    size = operator.shape[0]

    def product(vector):
        return (operator @ torch.tensor(vector.reshape(-1), dtype=torch.float64)).detach().numpy()

    norm = max(abs(eigsh(LinearOperator((size, size), matvec=product, dtype=np.float64), k=1, which="LM")[0]))
    draw = np.random.default_rng(4)
    squares = [float(np.square(product(draw.standard_normal(size))).sum()) for _ in range(PROBES)]
    return norm, np.mean(squares), np.std(squares, ddof=1) / math.sqrt(PROBES)


def main(federate):
    with tempfile.TemporaryDirectory() as folder:
        x, y = write_data(folder)
        run = os.path.join(folder, "run")
        common = [federate, "--quiet", "--data-dir", folder]
        subprocess.run(common + [os.path.join(folder, "run.toml"), "--out", run], check=True)
        subprocess.run([federate, "spectrum", run, "--quiet", "--data-dir", folder, "--clients", "0", "--operator",
                        "hessian,gauss_newton"], check=True)
        with open(os.path.join(run, "spectrum", "spectrum.csv"), newline="", encoding="utf-8") as file:
            rows = {row["operator"]: row for row in csv.DictReader(file)}
        model = model_of(os.path.join(run, "model.safetensors"))
    parameters = list(model.parameters())
    good = True
    for name, kind in (("hessian", HessianLinearOperator), ("gauss_newton", GGNLinearOperator)):
        operator = kind(model, torch.nn.CrossEntropyLoss(), parameters, [(x, y)], check_deterministic=False)
        norm, energy, error = measured(operator)
        own_norm, own, own_error = (float(rows[name][k]) for k in ("norm", "frobenius2", "frobenius2_error"))
        off = abs(own - energy) / math.hypot(error, own_error)
        good = good and abs(own_norm / norm - 1) < 1e-4 and off < 4
        print(f"{name}: norm {own_norm:.6g} here, {norm:.6g} there; squared Frobenius norm {own:.6g} ± {own_error:.2g} "
              f"here, {energy:.6g} ± {error:.2g} there: {off:.1f} standard errors apart")
    return 0 if good else 1


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1]))
