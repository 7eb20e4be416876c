"""What the peers share: data files, times, the line that each prints. Runs under Python 3.9 and newer with NumPy."""
import json
import statistics
from pathlib import Path

import numpy as np

FILES = {"train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
         "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")}


def read_idx(path):
    """The bytes of an IDX file as an array."""
    raw = np.fromfile(path, dtype=np.uint8)
    if raw[:3].tolist() != [0, 0, 8]:
        raise ValueError(f"{path}: expected an IDX file of unsigned bytes, got magic {raw[:3].tolist()}")
    rank = int(raw[3])
    shape = raw[4:4 + 4 * rank].view(">u4").astype(int)
    return raw[4 + 4 * rank:].reshape(shape)


def read_split(folder):
    """{"train": (x, y), "test": (x, y)} of the files that `round --export` wrote: images (N, C, H, W), float32,
    normalised by the mean and deviation of each channel of the training images; labels int64."""
    folder = Path(folder)
    split = {half: (read_idx(folder / images), read_idx(folder / labels).astype(np.int64))
             for half, (images, labels) in FILES.items()}
    train = split["train"][0]
    values = np.arange(256)
    shares = np.stack([np.bincount(train[:, c].ravel(), minlength=256) for c in range(train.shape[1])])
    shares = shares / shares.sum(axis=1, keepdims=True)
    mean = shares @ values
    deviation = np.sqrt(shares @ values ** 2 - mean ** 2)
    mean, deviation = (v.astype(np.float32).reshape(1, -1, 1, 1) for v in (mean, deviation))
    return {half: ((x.astype(np.float32) - mean) / deviation, y) for half, (x, y) in split.items()}


def partition(count, clients, seed=1):
    """Equal shares of a random order: (clients, count // clients) sample numbers."""
    order = np.random.default_rng(seed).permutation(count)
    return order[:count - count % clients].reshape(clients, -1)


def cohort(round_number, clients, size, seed=1):
    """Different clients of a round, ascending."""
    return np.sort(np.random.default_rng((seed, round_number)).choice(clients, size, replace=False))


def wants_evaluation(round_number, rounds, every):
    """Every `every`-th round and the last, as loru's simulation does; 0: never."""
    return every > 0 and round_number > 0 and (round_number == rounds or round_number % every == 0)


def median_ms(seconds):
    return 1e3 * statistics.median(seconds)


def report(**fields):
    """Prints the one line of JSON."""
    print(json.dumps(fields), flush=True)
