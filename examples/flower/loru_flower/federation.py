"""The federation that a configuration of loru describes. Both ends read the same file, which comes with the app."""

import math
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
    """

    model: loru.Model
    seed: int
    clients: int
    cohort: int
    rounds: int
    ranks: Optional[List[int]]
    min_updates: int
    eval_every: int

    @classmethod
    def of(cls, run_config) -> "Federation":
        """Throws loru.ConfigError for what a federation over messages cannot do."""
        sample = [int(extent) for extent in str(run_config["sample"]).split("x")]
        model = loru.Model.from_configuration(APP / run_config["configuration"], sample, run_config["outputs"],
                                              run_config["dtype"])
        tables = tomllib.loads(model.configuration)
        federation = tables["federation"]
        if "clients" not in federation:
            raise loru.ConfigError("federation.clients: expected their number, got none")
        clients = federation["clients"]
        return cls(model, tables["seed"], clients, cohort_size(federation), federation["rounds"],
                   client_ranks(tables["ranks"], clients), federation["min_updates"], federation["eval_every"])

    def server(self) -> loru.Server:
        return loru.Server(self.model, clients=self.clients, ranks=self.ranks)

    def cohort_of(self, round: int) -> List[int]:
        """The clients of a round, ascending: those that federate draws."""
        return loru.sample_cohort(self.seed, round, self.clients, self.cohort)


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
