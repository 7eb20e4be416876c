"""The two ends of a federation over bytes."""

from typing import List, Optional, Sequence

import numpy as np

from . import _check, _loru
from ._model import Model, model_of


class Server:
    """The server of a federation whose messages you move yourself.

    A round is begin_round(), broadcast(client) for each client of the cohort, receive(update) for each answer,
    then finish_round(). The mean does not depend on the order of the answers.

    model        a loru.Model, or a model's name or table with sample and outputs as loru.Model takes them
    algorithm    its name or table; of a loru.Model it is the model's
    seed         of all random draws; clients need the same
    clients      how many the federation has, numbered from 0; 0: not known
    ranks        the rank budget of each client, where they have ranks of their own
    max_samples  the most samples that a client may say it has, by which its update weighs; None: 2^29 - 1
    tables       further tables of a configuration: lowrank, server, codec, client, optimizer, ... Those of runs alone
                 are refused
    """

    def __init__(self, model, algorithm=None, seed: Optional[int] = None, *, sample: Optional[Sequence[int]] = None,
                 outputs: Optional[int] = None, dtype: str = "float32", clients: int = 0,
                 ranks: Optional[Sequence[int]] = None, max_samples: Optional[int] = None, **tables):
        own = model_of(model, algorithm, seed, sample, outputs, dtype, tables)
        self._own = _loru.Server(own._own, _check.integer("clients", clients),
                                 None if ranks is None else _check.integers("ranks", ranks),
                                 _check.count("max_samples", max_samples))

    @property
    def round(self) -> int:
        """The round that runs or was finished last, from 1."""
        return self._own.round

    @property
    def merges(self) -> int:
        """Merges so far."""
        return self._own.merges

    @property
    def model(self) -> Model:
        """A copy of the global model."""
        return Model._of(self._own.model)

    def begin_round(self) -> None:
        """Begins the next round. Refused while the last one has updates that are neither folded nor dropped."""
        self._own.begin_round()

    def broadcast(self, client: int) -> bytes:
        """The message for a client: the state, and the merges that it missed."""
        return self._own.broadcast(_check.integer("client", client))

    def receive(self, update: bytes, client: Optional[int] = None) -> None:
        """Folds one update. One that cannot be trusted is refused, and the round goes on without it.

        client  the one that it came from, where the connection tells; an update in another's name is refused then. None:
                the update's own word counts
        """
        self._own.receive(_check.message("update", update), _check.count("client", client))

    def finish_round(self) -> float:
        """The new global state; the cohort's mean training loss."""
        return self._own.finish_round()

    def drop_updates(self) -> None:
        """Gives up what the round has received: one with too few updates is to change nothing."""
        self._own.drop_updates()

    def lost(self, client: int) -> None:
        """The client's broadcast of this round did not arrive."""
        self._own.lost(_check.integer("client", client))

    def arrived(self, client: int) -> None:
        """The client's broadcast of this round arrived, whether an answer comes or not."""
        self._own.arrived(_check.integer("client", client))

    def save(self) -> bytes:
        """All that the server's future depends on, between rounds. Refused while a round has updates that
        are neither folded nor dropped."""
        return self._own.save()

    def restore(self, state: bytes) -> None:
        """Goes on where save() was called, in a server made as that one was."""
        self._own.restore(_check.message("state", state))


class Client:
    """A client of a federation: its own model, and its state between turns.

    Its number is that of the first broadcast that it answers.

    model      as the server has it: a loru.Model, or a model's name or table with sample and outputs
    algorithm  the server's
    seed       the server's
    tables     further tables, the server's: lowrank, client, optimizer, schedule, ...
    """

    def __init__(self, model, algorithm=None, seed: Optional[int] = None, *, sample: Optional[Sequence[int]] = None,
                 outputs: Optional[int] = None, dtype: str = "float32", **tables):
        self._own = _loru.Client(model_of(model, algorithm, seed, sample, outputs, dtype, tables)._own)

    def answer(self, broadcast: bytes, x: np.ndarray, y: np.ndarray) -> bytes:
        """A turn: trains on x (N, ...) and y, and returns the update.

        y is integers (N,) for classes, float32 (N, k) for numbers, 0 or 1 (N, k) for labels of which several hold. A
        broadcast of another seed, for another client or of a round that is not after the last one answered is
        refused. If the turn fails, model and state are what they were before.
        """
        return self._own.answer(_check.message("broadcast", broadcast), _check.array("x", x), _check.array("y", y))

    @property
    def model(self) -> Model:
        """A copy of the client's model."""
        return Model._of(self._own.model)

    @property
    def state(self) -> bytes:
        """What the algorithm keeps on a client between turns, with the client's number and its last round; empty before
        the first turn. The model is apart."""
        return self._own.state

    @state.setter
    def state(self, state: bytes) -> None:
        self._own.state = _check.message("state", state)


def sample_cohort(seed: int, round: int, clients: int, cohort: int) -> List[int]:
    """The clients of a round, as a run draws them."""
    given = {"seed": seed, "round": round, "clients": clients, "cohort": cohort}
    for name, value in given.items():
        given[name] = _check.integer(name, value)
        if not 0 <= given[name] < (2**63 if name == "seed" else 2**32):
            most = "2^63 - 1" if name == "seed" else "2^32 - 1"
            raise _loru.ConfigError(f"{name}: expected 0 .. {most}, got {value}")
    return _loru.sample_cohort(**given)
