"""The two ends of a federation over bytes."""

from typing import List, Optional, Sequence

import numpy as np

from . import _loru
from ._model import Model, model_of


class Server:
    """The server of a federation whose messages you move yourself.

    A round is begin_round(), broadcast(client) for each client of the cohort, receive(update) for each answer,
    then finish_round(). The mean does not depend on the order of the answers.

    model      a loru.Model, or a model's name or table with sample and outputs as loru.Model takes them
    algorithm  its name or table; of a loru.Model it is the model's
    seed       of all random draws; clients need the same
    clients    how many the federation has; 0: not known
    ranks      the rank budget of each client, where they have ranks of their own
    tables     further tables of a configuration: lowrank, server, codec, client, optimizer, ...
    """

    def __init__(self, model, algorithm=None, seed: Optional[int] = None, *, sample: Optional[Sequence[int]] = None,
                 outputs: Optional[int] = None, dtype: str = "float32", clients: int = 0,
                 ranks: Optional[Sequence[int]] = None, **tables):
        own = model_of(model, algorithm, seed, sample, outputs, dtype, tables)
        self._own = _loru.Server(own._own, clients, None if ranks is None else list(ranks))

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
        """Begins the next round."""
        self._own.begin_round()

    def broadcast(self, client: int) -> bytes:
        """The message for a client: the state, and the merges that it missed."""
        return self._own.broadcast(client)

    def receive(self, update: bytes) -> None:
        """Folds one update. One that cannot be trusted is refused, and the round goes on without it."""
        self._own.receive(update)

    def finish_round(self) -> float:
        """The new global state; the cohort's mean training loss."""
        return self._own.finish_round()

    def lost(self, client: int) -> None:
        """The client's broadcast of this round did not arrive."""
        self._own.lost(client)

    def arrived(self, client: int) -> None:
        """The client's broadcast of this round arrived, whether an answer comes or not."""
        self._own.arrived(client)

    def save(self) -> bytes:
        """All that the server's future depends on; between rounds."""
        return self._own.save()

    def restore(self, state: bytes) -> None:
        """Goes on where save() was called, in a server made as that one was."""
        self._own.restore(state)


class Client:
    """A client of a federation: its own model, and its state between turns. Arguments are Server's."""

    def __init__(self, model, algorithm=None, seed: Optional[int] = None, *, sample: Optional[Sequence[int]] = None,
                 outputs: Optional[int] = None, dtype: str = "float32", **tables):
        self._own = _loru.Client(model_of(model, algorithm, seed, sample, outputs, dtype, tables)._own)

    def answer(self, broadcast: bytes, x: np.ndarray, y: np.ndarray) -> bytes:
        """A turn: trains on x (N, ...) and y, and returns the update.

        y is int64 (N,) for classes, float32 (N, k) for numbers, uint8 (N, k) for labels of which several hold. If
        the turn fails, model and state are what they were before.
        """
        return self._own.answer(broadcast, np.asarray(x), np.asarray(y))

    @property
    def model(self) -> Model:
        """A copy of the client's model."""
        return Model._of(self._own.model)

    @property
    def state(self) -> bytes:
        """What the algorithm keeps on a client between turns; empty if nothing."""
        return self._own.state

    @state.setter
    def state(self, state: bytes) -> None:
        self._own.state = state


def sample_cohort(seed: int, round: int, clients: int, cohort: int) -> List[int]:
    """The clients of a round, as a run draws them."""
    return _loru.sample_cohort(seed, round, clients, cohort)
