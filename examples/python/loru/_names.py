"""The names that configurations have, and partitions by them."""

from typing import Dict, List, NamedTuple, Optional, Sequence

import numpy as np

from . import _check, _loru, _toml


class Key(NamedTuple):
    """What a key may be, what it is, and the algorithms that have it; none for a key of all."""

    values: str
    text: str
    algorithms: tuple


def keys() -> Dict[str, Key]:
    """Every key of a configuration, as `federate --keys` lists them."""
    all = {}
    for name, values, text, algorithm in _loru.keys():
        before = all.get(name)
        owners = (before.algorithms if before else ()) + ((algorithm,) if algorithm else ())
        all[name] = Key(values, text, owners)
    return all


def algorithms() -> List[str]:
    """The names of the algorithms."""
    return _loru.algorithm_names()


def models() -> List[str]:
    """The names of the models."""
    return _loru.model_names()


def partition(labels, kind: str = "iid", clients: int = 100, seed: int = 1, groups: Optional[Sequence[int]] = None,
              **options) -> List[np.ndarray]:
    """Divides samples of these labels among clients: for each the numbers of its samples, ascending.

    kind     "iid", "dirichlet", "shards", "quantity", "natural" or "virtual"
    groups   the natural client of each sample, for "natural"
    options  the keys of the table [partition] that the kind has: alpha, classes_per_client, skew, samples

    A run with the same table and seed divides its training data so.
    """
    config = {"seed": seed, "partition": {"kind": kind, **options}, "federation": {"clients": clients}}
    return _loru.partition(_toml.document(config), _integers("labels", labels, 2**63),
                           None if groups is None else _integers("groups", groups, 2**31))


def save_arrays(path, x, y, client=None) -> None:
    """Writes samples x and targets y as a safetensors file for `data = {"name": "safetensors", ...}`.

    x       (N, n), (N, H, W) or (N, C, H, W), float32 or uint8
    y       (N,) integers: classes; (N, k) float32: numbers; (N, k) uint8 or bool: labels of which several hold
    client  (N,) integers, if given: the natural client of each sample
    """
    arrays = {"x": _check.array("x", x), "y": _check.array("y", y)}
    if client is not None:
        arrays["client"] = _check.array("client", client)
    for name, array in arrays.items():
        kind = array.dtype.kind
        if kind == "b":
            arrays[name] = array.astype(np.uint8)
        elif kind in "iu" and (array.ndim == 1 and name != "x"):
            if array.size and not -2**31 <= array.min() <= array.max() < 2**31:
                raise _loru.DataError(f"{name}: expected integers of 32 bits, got {array.min()} to {array.max()}")
            arrays[name] = array.astype(np.int32)
    _loru.save_arrays(_check.path("path", path), arrays)


def _integers(name, values, end):
    array = _check.array(name, values)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise _loru.DataError(f"{name}: expected integers (N), got {array.dtype} {array.shape}")
    numbers = array.tolist()
    for i, number in enumerate(numbers):
        if not -end <= number < end:
            raise _loru.DataError(f"{name}: sample {i}: expected an integer below {end}, got {number}")
    return numbers
