"""What a node keeps between turns: the client's weights and its state, a file for each round."""

import logging
import os
import zipfile
import zlib
from pathlib import Path

import numpy as np

import loru

from .messages import Turn

LOG = logging.getLogger("flwr")
STATE, WEIGHT = "state", "weight/"


class Kept:
    """A folder FOLDER/FEDERATION with ROUND.npz: the weights and the state after the turn of that round.

    A turn counts once the server says so: an update may get lost, or come too late. So the client goes on from the
    weights of the last update that arrived and from the state of the last that was folded, and newer ones are dropped.
    """

    def __init__(self, folder, federation: str):
        self._folder = Path(folder) / federation
        self._folder.mkdir(parents=True, exist_ok=True)

    def client(self, model: loru.Model, turn: Turn) -> loru.Client:
        """The client as it was. Throws LookupError where the broadcast needs weights that are not here."""
        weights = self._read(turn.arrived)
        if weights:
            model = model.copy()
            model.load_state_dict(_placed(model.state_dict(), weights))
        elif not turn.whole:
            raise LookupError(f"{self._path(turn.arrived)}: expected the weights after round {turn.arrived}, got none; "
                              "the next merge brings them")
        client = loru.Client(model)
        client.state = self._read(turn.folded).get(STATE, np.empty(0, np.uint8)).tobytes()
        return client

    def keep(self, client: loru.Client, turn: Turn) -> None:
        """Writes the client as it is after a turn, whole or not at all."""
        arrays = {WEIGHT + name: array for name, array in client.model.state_dict().items()}
        arrays[STATE] = np.frombuffer(client.state, np.uint8)
        part = self._folder / f"{turn.round}.part"
        with open(part, "wb") as file:
            np.savez(file, **arrays)
            file.flush()
            os.fsync(file.fileno())
        part.replace(self._path(turn.round))
        needed = {self._path(round) for round in (turn.arrived, turn.folded, turn.round)}
        for path in set(self._folder.glob("*.npz")) - needed:
            path.unlink()

    def _path(self, round: int) -> Path:
        return self._folder / f"{round}.npz"

    def _read(self, round: int) -> dict:
        """What was kept after a round. A file that is broken is removed: it is as if it had never been."""
        path = self._path(round)
        if not path.exists():
            return {}
        try:
            with np.load(path) as arrays:
                return {name: arrays[name] for name in arrays}
        except (EOFError, LookupError, NotImplementedError, TypeError, ValueError, zipfile.BadZipFile, zlib.error) as error:
            LOG.warning("%s: expected what a turn kept, got a broken file (%s), which is removed", path, error)
            path.unlink()
            return {}


def _placed(state, kept):
    """The model's state with what was kept. Factors of another rank are left out: a broadcast has all factors."""
    for name, array in state.items():
        own = kept.get(WEIGHT + name)
        state[name] = own if own is not None and own.shape == array.shape else array
    return state
