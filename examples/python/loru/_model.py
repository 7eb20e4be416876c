"""Models."""

import os
from collections.abc import Mapping
from typing import Dict, Optional, Sequence, Tuple, Union

import numpy as np

from . import _check, _loru, _toml

Named = Union[str, Mapping]
Config = Union[Mapping, str, "os.PathLike[str]"]


class Model:
    """A network as a configuration describes it, with the layers that an algorithm trains.

    model      its name (loru.models()) or the table [model]: {"name": "mlp", ...}
    sample     the shape of a sample: (C, H, W) or (n,)
    outputs    the classes, or the numbers or labels of a target
    algorithm  its name (loru.algorithms()) or the table [algorithm]; the layers are parametrised for it
    seed       of all random draws; both ends of a federation need the same
    dtype      of samples: "float32", or "uint8" for bytes that count as byte / 255
    tables     further tables of a configuration: lowrank={"rank": 8}, client={"epochs": 1}, optimizer=... Keys that only
               runs have, such as those of [data] and [federation], are refused: nothing would come of them

    Parameters have the names that they have in PyTorch's state_dict. Factors are `<layer>.lora_A.weight` (r, n)
    and `<layer>.lora_B.weight` (m, r), beside W in `<layer>.weight`.
    """

    def __init__(self, model: Named, sample: Sequence[int], outputs: int, algorithm: Optional[Named] = None,
                 seed: int = 1, dtype: str = "float32", **tables):
        _require_used(tables)
        config = {"seed": seed, "model": _named(model), **tables}
        if algorithm is not None:
            config["algorithm"] = _named(algorithm)
        self._own = _make(config, sample, outputs, dtype)

    @classmethod
    def from_configuration(cls, config: Config, sample: Sequence[int], outputs: int,
                           dtype: str = "float32") -> "Model":
        """The model of a whole configuration: a dict, or the path of a TOML file."""
        return cls._of(_make(config, sample, outputs, dtype))

    @classmethod
    def _of(cls, own):
        model = cls.__new__(cls)
        model._own = own
        return model

    def __repr__(self):
        return f"<loru.Model {self.name} for {self.algorithm}, seed {self.seed}, {self.sha256[:12]}>"

    @property
    def name(self) -> str:
        """The model's name."""
        return self._own.name

    @property
    def algorithm(self) -> str:
        """The algorithm that its layers are for."""
        return self._own.algorithm

    @property
    def seed(self) -> int:
        """The seed that it was made from."""
        return self._own.seed

    @property
    def sample(self) -> Tuple[int, ...]:
        """The shape of a sample."""
        return self._own.sample

    @property
    def configuration(self) -> str:
        """All keys of it, as TOML."""
        return self._own.configuration

    @property
    def sha256(self) -> str:
        """Digest of names, shapes and values, as in summary.json."""
        return self._own.sha256

    def copy(self) -> "Model":
        """A model of its own with the same values."""
        return Model._of(self._own.copy())

    def __copy__(self) -> "Model":
        return self.copy()

    def __deepcopy__(self, memo) -> "Model":
        return self.copy()

    def predict(self, x: np.ndarray, threads: Optional[int] = None) -> np.ndarray:
        """The outputs (N, k) for samples x (N, ...)."""
        return self._own.predict(_check.array("x", x), _check.count("threads", threads))

    def evaluate(self, x: np.ndarray, y: np.ndarray, threads: Optional[int] = None) -> Dict[str, float]:
        """The metrics of the task and the loss on samples x with targets y."""
        return self._own.evaluate(_check.array("x", x), _check.array("y", y), _check.count("threads", threads))

    def state_dict(self, merged: bool = False) -> Dict[str, np.ndarray]:
        """All parameters and buffers by name, as arrays that cannot be written to; without a copy where they lie
        in rows. With merged=True each W has its update added, and there are no factors: what a PyTorch module
        of the same layers takes."""
        return self._own.arrays(bool(merged))

    def load_state_dict(self, state: Mapping) -> None:
        """Sets all parameters and buffers. Values are arrays, or tensors of PyTorch on the cpu, and finite. Names are
        the model's; `<norm>.num_batches_tracked`, which PyTorch's batch normalisation has besides, is left out."""
        if not isinstance(state, Mapping):
            raise TypeError(f"state: expected a dict of arrays, got {_check.name_of(state)}")
        self._own.set_arrays({_check.name("state", name): _check.array(f"state: tensor {name}", value)
                              for name, value in state.items()})

    def save(self, path, merged: bool = False) -> None:
        """Writes a safetensors file, as model.safetensors of a run, or with merged=True as state_dict(True)."""
        self._own.save(_check.path("path", path), bool(merged))

    def load(self, path) -> None:
        """Sets all parameters and buffers from a file that save() or a run wrote."""
        self._own.load(_check.path("path", path))

    def save_peft(self, folder) -> None:
        """Writes the factors as an adapter in PEFT's format: adapter_model.safetensors, adapter_config.json."""
        self._own.save_adapter(_check.path("folder", folder))

    def load_peft(self, folder) -> None:
        """Sets the factors from an adapter of the same layers and ranks."""
        self._own.load_adapter(_check.path("folder", folder))


def _named(table):
    return dict(table) if isinstance(table, Mapping) else {"name": table}


def document_or_file(config):
    """A configuration as the text of its tables or as the path of its file; the other is None."""
    if isinstance(config, Mapping):
        return _toml.document(config), None
    if not isinstance(config, (str, os.PathLike)):
        raise TypeError(f"config: expected a dict or a path, got {_check.name_of(config)}")
    return None, _check.path("config", config)


def _make(config, sample, outputs, dtype):
    if not isinstance(dtype, str) or dtype not in ("float32", "uint8"):
        raise _loru.ConfigError(f"dtype: expected 'float32' or 'uint8', got {ascii(dtype)}")
    text, file = document_or_file(config)
    return _loru.Model(text, file or "", _check.integers("sample", sample), _check.integer("outputs", outputs),
                       dtype == "uint8")


# The tables that only runs have, and what ends use of them: the schedule counts rounds, clients augment their images.
_OF_RUNS = ("data", "device", "federation", "partition", "ranks", "text", "tracking")
_USED = ("data.augment", "data.crop_padding", "federation.rounds", "federation.warmup_rounds")


def _require_used(tables):
    known = {name for name, _, _, _ in _loru.keys()}
    for key, _ in _toml.leaves(tables):
        if key.split(".")[0] in _OF_RUNS and key not in _USED and (key in known or key == "device"):
            raise _loru.ConfigError(f"config: {key}: expected keys of models and of clients' turns, got one of runs alone")


def model_of(model, algorithm, seed, sample, outputs, dtype, tables) -> Model:
    """The model that an end is given: one that is there already, or what makes one."""
    if not isinstance(model, Model):
        if sample is None or outputs is None:
            raise _loru.ConfigError("model: expected sample and outputs beside a model's name or table, got none")
        return Model(model, sample, outputs, algorithm, 1 if seed is None else seed, dtype, **tables)
    if sample is not None or outputs is not None or tables:
        raise _loru.ConfigError("model: expected no sample, outputs or tables beside a loru.Model, which has its own")
    if algorithm is not None and (not isinstance(algorithm, str) or algorithm != model.algorithm):
        raise _loru.ConfigError(f"algorithm: expected {model.algorithm}, the model's, got {_shown(algorithm)}")
    if seed is not None and _check.integer("seed", seed) != model.seed:
        raise _loru.ConfigError(f"seed: expected {model.seed}, the model's, got {seed}")
    return model


def _shown(value):
    """A string as it is, the type of anything else: one line."""
    return value if isinstance(value, str) and value.isprintable() else _check.name_of(value)
