"""2000 calls with random wrong arguments: each raises or returns, and none ends the interpreter. Under the sanitizers
(`./dev test --extras`) this also finds what is read or written out of bounds."""
import random

import numpy as np

import support
from support import TINY, Case

import loru

CALLS = 2000


def junk(draw, good):
    """Something like a good value, or something else."""
    x = np.arange(48, dtype=np.float32).reshape(4, 12)
    kinds = [
        lambda: good, lambda: None, lambda: -1, lambda: 2**63, lambda: 10**30, lambda: float("nan"), lambda: "",
        lambda: "fedloru", lambda: "\0", lambda: b"", lambda: bytes(draw.randrange(200)), lambda: [], lambda: {},
        lambda: [[]], lambda: {"rank": draw.choice([-1, 0, 2**62, "x", None, 1e300])}, lambda: object(),
        lambda: x, lambda: x[:0], lambda: x[::2, ::3], lambda: x.astype(draw.choice(["f8", "i4", "u1", "O", "c8", "?"])),
        lambda: np.zeros((1,) * draw.randrange(0, 9), np.float32), lambda: np.zeros((0, 12), np.float32),
        lambda: np.full((4, 12), np.inf, np.float32), lambda: np.array("text"), lambda: np.zeros(4, np.int64) - 5,
        lambda: np.zeros(4, np.int64) + 2**40, lambda: (1, -2, 3), lambda: (2**40, 2**40), lambda: (0,), lambda: lambda: 3,
    ]
    return draw.choice(kinds)()


def broken(draw, message):
    """A message with some of its bytes changed, cut or repeated."""
    content = bytearray(message)
    for _ in range(draw.randrange(1, 6)):
        what = draw.randrange(4)
        at = draw.randrange(max(1, len(content)))
        if what == 0 and content:
            content[at] = draw.randrange(256)
        elif what == 1:
            del content[at:at + draw.randrange(1, 30)]
        elif what == 2:
            content[at:at] = content[at:at + draw.randrange(1, 30)]
        elif content:
            content[at:at + 8] = draw.choice([b"\xff" * 8, b"\0" * 8, b"99999999"])
    return bytes(content)


class WrongUse(Case):
    def test_random_calls(self):
        draw = random.Random(1)
        arrays = np.random.default_rng(1)
        x, y = arrays.normal(size=(9, 12)).astype(np.float32), arrays.integers(0, 3, 9)
        ends = {"sample": (12,), "outputs": 3, "lowrank": {"rank": 2}}
        model = loru.Model("mlp", (12,), 3, lowrank={"rank": 2})
        server, client = loru.Server(model), loru.Client(model)
        server.begin_round()
        broadcast = server.broadcast(0)
        answer = client.answer(broadcast, x, y)
        state = server.model.state_dict()
        some = lambda good: junk(draw, good)
        calls = [
            lambda: loru.Model(some("mlp"), some((12,)), some(3), some("fedloru"), some(1)),
            lambda: loru.Model("mlp", (12,), 3, **{draw.choice(["lowrank", "client", "nothing"]): some({})}),
            lambda: loru.Server(some("mlp"), some("fedloru"), some(1), **{**ends, "clients": some(3), "ranks": some([1])}),
            lambda: loru.Client(some(model), some("fedloru")),
            lambda: client.answer(some(broadcast), some(x), some(y)),
            lambda: client.answer(broken(draw, broadcast), x, y),
            lambda: client.answer(broken(draw, answer), x, y),
            lambda: server.receive(some(answer)),
            lambda: server.receive(broken(draw, answer)),
            lambda: server.broadcast(some(0)),
            lambda: server.lost(some(0)),
            lambda: server.arrived(some(0)),
            lambda: server.restore(some(b"")),
            lambda: server.finish_round(),
            lambda: server.begin_round(),
            lambda: setattr(client, "state", some(b"")),
            lambda: model.predict(some(x), some(1)),
            lambda: model.evaluate(some(x), some(y)),
            lambda: model.load_state_dict({**state, draw.choice(list(state)): some(x)}),
            lambda: model.load_state_dict(some(state)),
            lambda: model.load(some("nowhere")),
            lambda: model.save(some("nowhere/file")),
            lambda: model.load_peft(some("nowhere")),
            lambda: loru.partition(some(y), some("iid"), some(3), some(1), some(None)),
            lambda: loru.partition(y, draw.choice(["shards", "quantity", "virtual"]), 3, **{some("alpha"): some(1.0)}),
            lambda: loru.run({**TINY, draw.choice(["lowrank", "model", "client", "federation"]): some({})},
                             threads=some(1), set=some(None), on_round=some(None)),
            lambda: loru.run(some(TINY)),
            lambda: loru.compare(some(["a.toml"]), seeds=some([1])),
            lambda: loru.report(some("nowhere")),
            lambda: loru.sample_cohort(some(1), some(1), some(5), some(2)),
            lambda: loru.save_arrays("arrays.safetensors", some(x), some(y), some(None)),
        ]
        raised = 0
        for k in range(CALLS):
            call = calls[k % len(calls)]
            try:
                call()
            except (loru.Error, TypeError) as error:
                raised += 1
                self.assertNotIn("\n", str(error), str(error))  # pybind11's own lists are long
            except (OSError, MemoryError):
                raised += 1
        self.assertGreater(raised, CALLS // 2)
        # All is as usable as before.
        fresh_server, fresh_client = loru.Server(**{"model": "mlp", **ends}), loru.Client("mlp", **ends)
        fresh_server.begin_round()
        fresh_server.receive(fresh_client.answer(fresh_server.broadcast(0), x, y))
        self.assertTrue(np.isfinite(fresh_server.finish_round()))


if __name__ == "__main__":
    support.main()
