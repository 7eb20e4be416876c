"""A node: client k of the federation, with its own samples and a folder of its own.

--node-config has: client, its number from 0; samples, an .npz of x and y; state, the folder.
"""

import numpy as np
from flwr.app import ConfigRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp

from .federation import Federation
from .kept import Kept
from .messages import CLIENT, data_of, records, turn_of

app = ClientApp()


@app.query()
def who(message: Message, context: Context) -> Message:
    """Which client this node is."""
    return Message(RecordDict({CLIENT: ConfigRecord({CLIENT: int(context.node_config["client"])})}), reply_to=message)


@app.train()
def train(message: Message, context: Context) -> Message:
    """A turn: the broadcast in, the update out. It is kept before it is sent."""
    turn = turn_of(message)
    kept = Kept(context.node_config["state"], turn.federation)
    client = kept.client(Federation.of(context.run_config).model, turn)
    with np.load(context.node_config["samples"]) as samples:
        update = client.answer(data_of(message), samples["x"], samples["y"])
    kept.keep(client, turn)
    return Message(records(update), reply_to=message)
