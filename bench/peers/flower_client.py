"""A client of flower_logistic.py: logistic regression in NumPy. A module of its own, so that the simulation's workers
import it, and with it keep the data, instead of being sent it with every task."""
import numpy as np

from common import partition, read_split

CLASSES, BATCH, LEARNING_RATE = 10, 10, 0.03
held = {}  # of this process: the data, once read


def data(folder, clients):
    """Flattened training samples, labels and the clients' shares, read once a process."""
    if not held:
        x, y = read_split(folder)["train"]
        held.update(x=x.reshape(len(x), -1), y=y, parts=partition(len(y), clients))
    return held["x"], held["y"], held["parts"]


def softmax(logits):
    """Row by row."""
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def train(w, b, x, y, order):
    """One epoch of SGD on the mean cross-entropy, in place: w (classes, features), b (classes). Returns the
    mean loss."""
    total = 0.0
    for first in range(0, len(order), BATCH):
        chosen = order[first:first + BATCH]
        inputs, labels = x[chosen], y[chosen]
        p = softmax(inputs @ w.T + b)
        rows = np.arange(len(chosen))
        total -= float(np.log(p[rows, labels]).sum())
        p[rows, labels] -= 1.0
        p *= LEARNING_RATE / len(chosen)
        w -= p.T @ inputs
        b -= p.sum(axis=0)
    return total / len(order)


def turn(folder, clients, client, w, b):
    """Trains one client from w, b in place. Returns its number of samples and its loss."""
    x, y, parts = data(folder, clients)
    samples = parts[client]
    return len(samples), train(w, b, x, y, np.random.default_rng().permutation(samples))
