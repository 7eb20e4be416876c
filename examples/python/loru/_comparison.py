"""Comparisons of federations over the same clients."""

import csv
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Dict, List, Optional, Sequence, Union

import numpy as np

from . import _check, _loru, _toml
from ._model import Config
from ._run import Settings, raise_ended, request


@dataclass(frozen=True)
class Comparison:
    """Federations side by side.

    table   the columns of compare.csv by name, an entry a configuration: means over seeds, standard deviations
    runs    the columns of runs.csv by name, an entry a run
    rounds  for each configuration, by its name, and each of its seeds the columns of that run's rounds.csv
    text    the table for a person, in Markdown
    folder  where the files are; None if they are not kept
    """

    table: Dict[str, np.ndarray]
    runs: Dict[str, np.ndarray]
    rounds: Dict[str, Dict[int, Dict[str, np.ndarray]]]
    text: str
    folder: Optional[Path] = None

    def __repr__(self):
        return self.text


def compare(configs: Union[Mapping, Sequence[Config]], out=None, seeds: Optional[Sequence[int]] = None,
            budgets: Optional[Sequence[float]] = None, threads: Optional[int] = None, data_dir=None,
            set: Optional[Settings] = None, on_round: Optional[Callable[[dict], object]] = None) -> Comparison:
    """Runs several federations over the same clients, as federate --compare does.

    configs  {"name": configuration, ...} of dicts or paths, or a list of paths, which are named by their files
    out      the folder for all files; complete runs that are there already are not run again; None keeps none
    seeds    each configuration runs with each; None: with its own
    budgets  MB of uplink at which accuracy is read; None: 5, 20 and 60

    The other arguments are those of loru.run. Ctrl-C ends it after the current round; the KeyboardInterrupt has
    the attribute `comparison`, with the finished runs.
    """
    if not isinstance(configs, Mapping):
        configs = {Path(config).stem: config for config in _paths(configs)}
    if not configs:
        raise _loru.ConfigError("compare: expected at least one configuration, got none")
    if out is not None:
        _check.path("out", out)
    for name, config in configs.items():
        if not isinstance(config, Mapping):
            _check.path(f"configs: {name}", config)
        else:
            _loru.check(_toml.document(config), _toml.assignments(set))
    with tempfile.TemporaryDirectory() as scratch:
        files = [_file(Path(scratch), str(name), config) for name, config in configs.items()]
        folder = Path(scratch) / "out" if out is None else Path(out)
        raw = _loru.compare(files, [] if seeds is None else _check.integers("seeds", seeds),
                            [] if budgets is None else _check.numbers("budgets", budgets),
                            request({}, folder, threads, data_dir, set, on_round))
        result = Comparison(_columns(folder / "compare.csv"), _columns(folder / "runs.csv"),
                            _rounds(folder, configs), (folder / "compare.md").read_text(), None if out is None else folder)
    if raw.exception is not None:
        raise_ended(raw.exception, raw.problem, "comparison", result)
    return result


def _paths(configs) -> List[str]:
    if isinstance(configs, (str, os.PathLike)):
        raise TypeError("configs: expected a list of paths or a dict of configurations, got one path")
    if not hasattr(configs, "__iter__"):
        raise TypeError(f"configs: expected a list of paths or a dict of configurations, got {_check.name_of(configs)}")
    paths = []
    for config in configs:
        if isinstance(config, Mapping):
            raise TypeError('configs: expected paths in a list, got a dict; name it: {"name": configuration}')
        paths.append(_check.path("configs", config))
    for path in paths:
        if sum(Path(other).stem == Path(path).stem for other in paths) > 1:
            raise _loru.ConfigError("compare: expected configurations of different names, got "
                                    f"{Path(path).stem} twice")
    return paths


def _file(folder, name, config):
    """The configuration as a file of that name, whose paths are relative to the file that it was."""
    if name in ("", ".", "..") or "\0" in name or name != Path(name).name:
        raise _loru.ConfigError(f"compare: expected a name without '/' or NUL, got {name!r}")
    _check.text("compare", name)
    file = folder / f"{name}.toml"
    if isinstance(config, Mapping):
        if isinstance(config.get("base"), (str, os.PathLike)) and config["base"]:
            config = {**config, "base": os.path.abspath(config["base"])}
        file.write_text(_toml.document(config))
    else:
        path = Path(config)
        if path.stem == name and path.suffix == ".toml":
            return str(path)
        file.write_text(_toml.document({"base": str(path.resolve())}))
    return str(file)


def _columns(file):
    with open(file, newline="") as text:
        header, *lines = csv.reader(text)
    return {name: _array([line[i] for line in lines]) for i, name in enumerate(header)}


def _array(fields):
    """Integers, numbers with NaN for what is empty, or text."""
    for kind in (int, float):
        try:
            return np.array([kind(field) if field or kind is int else float("nan") for field in fields],
                            dtype=np.int64 if kind is int else np.float64)
        except ValueError:
            continue
    return np.array(fields, dtype=object)


def _rounds(folder, configs):
    rounds = {}
    for name in configs:
        runs = sorted((folder / str(name)).glob("seed-*"))
        rounds[str(name)] = {int(run.name[len("seed-"):]): _columns(run / "rounds.csv") for run in runs
                             if (run / "rounds.csv").exists()}
    return rounds
