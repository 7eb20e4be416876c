"""Low-rank federated learning: runs of federations, and the two ends of one over bytes.

A configuration is a dict of the tables that `federate --keys` lists, or the path of a TOML file:

>>> import loru
>>> run = loru.run({"data": {"name": "digits"}, "model": {"name": "mlp"}, "federation": {"clients": 20}})
>>> run.rows["test_accuracy"][-1]

What fails raises an exception of the family loru.Error, with the text that federate prints.
"""

from pathlib import Path as _Path

from . import _loru
from ._comparison import Comparison, compare
from ._ends import Client, Server, sample_cohort
from ._loru import ConfigError, DataError, DivergedError, Error, GraphError, IoError, ShapeError, __version__
from ._model import Model
from ._names import algorithms, keys, models, partition, save_arrays
from ._run import Run, report, run

_loru.add_data_folder(str(_Path(__file__).parent / "data"))

__all__ = ["Client", "Comparison", "ConfigError", "DataError", "DivergedError", "Error", "GraphError", "IoError",
           "Model", "Run", "Server", "ShapeError", "__version__", "algorithms", "compare", "keys", "models",
           "partition", "report", "run", "sample_cohort", "save_arrays"]
