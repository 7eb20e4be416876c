"""The federation that a configuration of loru describes. Both ends read the same file, which comes with the app."""

import math
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import List, Optional

import loru

APP = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Federation:
    """A model as both ends begin with it, and who takes part in a round.

    ranks        the rank budget of each client; None where all have the same
    min_updates  a round with fewer changes nothing
    eval_every   rounds between two tests of the model; 0: none
    max_samples  the most samples that a client may say it has; None: no limit of this federation's own
    """

    model: loru.Model
    seed: int
    clients: int
    cohort: int
    rounds: int
    ranks: Optional[List[int]]
    min_updates: int
    eval_every: int
    max_samples: Optional[int]

    @classmethod
    def of(cls, run_config) -> "Federation":
        """Throws loru.ConfigError for what a federation over messages cannot do."""
        sample = str(run_config["sample"])
        if not re.fullmatch(r"[0-9]{1,9}(x[0-9]{1,9})*", sample):
            raise loru.ConfigError(f"sample: expected extents such as 1x8x8, got {sample}")
        sample = [int(extent) for extent in sample.split("x")]
        model = loru.Model.from_configuration(APP / run_config["configuration"], sample, run_config["outputs"],
                                              run_config["dtype"])
        tables = tomllib.loads(model.configuration)
        require_known(tables)
        federation = tables["federation"]
        if "clients" not in federation:
            raise loru.ConfigError("federation.clients: expected their number, got none")
        clients = federation["clients"]
        return cls(model, tables["seed"], clients, cohort_size(federation), federation["rounds"],
                   client_ranks(tables["ranks"], clients), federation["min_updates"], federation["eval_every"],
                   run_config["max-samples"] or None)

    def server(self) -> loru.Server:
        return loru.Server(self.model, clients=self.clients, ranks=self.ranks, max_samples=self.max_samples)

    @property
    def configuration(self) -> dict:
        """Every key and its value."""
        return dict(dotted(tomllib.loads(self.model.configuration)))

    def cohort_of(self, round: int) -> List[int]:
        """The clients of a round, ascending: those that federate draws."""
        return loru.sample_cohort(self.seed, round, self.clients, self.cohort)


def dotted(tables, prefix=""):
    """The keys of tables in tables, as table.key, and their values."""
    for name, value in tables.items():
        if isinstance(value, dict):
            yield from dotted(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def require_known(tables) -> None:
    """Throws loru.ConfigError for keys by which a run of federate has another result, and which have no effect here."""
    for table, key, without in (("federation", "stop_at", None), ("federation", "keep_best", False), ("data", "validation", 0.0)):
        value = tables[table].get(key, without)
        if value != without:
            raise loru.ConfigError(f"{table}.{key}: expected {without} for a server over messages, got {value}")


def cohort_size(federation) -> int:
    """As federate: the cohort, or the nearest count to a fraction of the clients, or 10."""
    clients = federation["clients"]
    if "fraction" in federation:
        return max(1, math.floor(federation["fraction"] * clients + 0.5))
    return federation.get("cohort", min(10, clients))


def client_ranks(ranks, clients) -> Optional[List[int]]:
    if ranks["rule"] == "same":
        return None
    if ranks["rule"] != "fixed":
        raise loru.ConfigError(f"ranks.rule: expected same or fixed for a server over messages, got {ranks['rule']}")
    return [ranks["values"][k % len(ranks["values"])] for k in range(clients)]
