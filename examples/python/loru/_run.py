"""Runs of federations."""

import contextlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Dict, Optional, Sequence, Union

import numpy as np

from . import _check, _loru, _toml
from ._model import Config, Model, document_or_file

Settings = Union[Mapping, Sequence[str]]


@dataclass(frozen=True, eq=False)
class Run:
    """A federation that has run.

    rows           the columns of rounds.csv by name, an entry a round; pandas.DataFrame(run.rows) takes them
    summary        the content of summary.json
    model          the model at the end
    configuration  everything that the run was told or took as its default, as TOML
    folder         where its files are; None if it has none
    """

    rows: Dict[str, np.ndarray]
    summary: dict
    model: Model
    configuration: str
    folder: Optional[Path] = None

    def __repr__(self):
        s = self.summary
        return f"<loru.Run {s['algorithm']} on {s['dataset']}: {s['rounds']} rounds, {s['model_sha256'][:12]}>"


def run(config: Config, out=None, threads: Optional[int] = None, data_dir=None, set: Optional[Settings] = None,
        on_round: Optional[Callable[[dict], object]] = None) -> Run:
    """Runs a federation, as federate does.

    config    a dict of tables, or the path of a TOML file
    out       the folder for the run's files; None writes nothing, and then tracking.tensorboard, federation.keep_best,
              keep_rounds, keep_merges and client_state = "disk" have no effect
    threads   clients that train at the same time; None: all cores
    data_dir  the folder that holds the data set's files
    set       keys to change: {"client.epochs": 1} or ["client.epochs=1"]
    on_round  called after each round with its row, a dict; if it raises the run ends

    Ctrl-C ends the run after the current round, as it ends federate: its files are written, and
    KeyboardInterrupt is raised. That exception, any that on_round raises, and the DivergedError of a run that
    diverged have the attribute `run`, the Run up to there.
    """
    raw = _loru.run(request(config, out, threads, data_dir, set, on_round))
    result = Run(raw.rows, json.loads(raw.summary), Model._of(raw.model), raw.configuration,
                 None if out is None else Path(out))
    error = raw.exception
    if error is None and raw.code == 0:
        return result
    if error is None:
        error = _loru.DivergedError(raw.problem)
    raise_ended(error, raw.problem, "run", result)


def report(folders, out=None) -> Path:
    """Writes one HTML page of what runs wrote and returns its path.

    folders  folders of runs, comparisons, sweeps or spectra, or loru.Run and loru.Comparison with one
    out      the page; None: report.html in the first folder
    """
    if isinstance(folders, (str, os.PathLike)) or hasattr(folders, "folder"):
        folders = [folders]
    if not hasattr(folders, "__iter__"):
        raise TypeError(f"report: expected folders, got {_check.name_of(folders)}")
    folders = list(folders)
    if not folders:
        raise _loru.ConfigError("report: expected at least one folder, got none")
    names = []
    for folder in folders:
        if getattr(folder, "folder", folder) is None:
            raise _loru.ConfigError("report: expected runs with a folder, got one that wrote no files (out=None)")
        names.append(_check.path("report", getattr(folder, "folder", folder)))
    return Path(_loru.report(names, "" if out is None else _check.path("out", out)))


def request(config, out, threads, data_dir, set, on_round):
    if on_round is not None and not callable(on_round):
        raise TypeError(f"on_round: expected a function, got {type(on_round).__name__}")
    text, file = document_or_file(config)
    return _loru.RunRequest(text, file, "" if out is None else _check.path("out", out), _check.count("threads", threads),
                            None if data_dir is None else _check.path("data_dir", data_dir), _toml.assignments(set),
                            on_round)


def raise_ended(error, problem, name, result):
    """Raises what ended a run, with what there is so far as its attribute `name`."""
    if isinstance(error, KeyboardInterrupt) and not error.args:
        error.args = (problem,)
    with contextlib.suppress(AttributeError):
        setattr(error, name, result)
    raise error
