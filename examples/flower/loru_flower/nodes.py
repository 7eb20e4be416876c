"""Which node is which client."""

import logging
import re
import time

from flwr.app import Message, MessageType, RecordDict
from flwr.serverapp import Grid

from .messages import CLIENT, shown

LOG = logging.getLogger("flwr")
PAUSE = 0.25  # seconds between two looks at what Flower has
QUERY_SECONDS = 3600.0


class Nodes:
    """The nodes of a run. One that was registered under the name client-K is client K; any other is asked.

    Of several nodes for one client, one registered by name counts, and then the one that came last: after a crash a
    node has a new number where nodes are not registered, while the old one still seems to be there. A node that has not
    answered is away until Flower hears of it again: Flower takes a dead node for one that is there until a heartbeat is missing.
    """

    def __init__(self, grid: Grid, clients: int):
        self._grid, self._count = grid, clients
        self._clients = {}  # by node; None for a node that is no client
        self._asked = {}    # node by the number of the message
        self._silent = {}   # of a node that has not answered: how long Flower then expected it to be there

    def present(self) -> dict:
        """The number of the node of each client that is there now."""
        infos = sorted(self._grid.get_nodes(), key=lambda info: (bool(_named(info)), info.last_activated_at))
        for info in infos:
            if info.node_id not in self._clients:
                self._meet(info)
        if self._asked:
            for reply in self._grid.pull_messages(list(self._asked)):
                self._told(reply)
        there = ((self._clients[info.node_id], info.node_id) for info in infos
                 if info.online_until > self._silent.get(info.node_id, 0.0))
        return {client: node for client, node in there if client is not None}

    def wait(self, enough, seconds: float) -> dict:
        """The nodes that are there once enough(present()) holds, or after so many seconds."""
        end = time.monotonic() + seconds
        while not enough(present := self.present()) and time.monotonic() < end:
            time.sleep(PAUSE)
        return present

    def silent(self, nodes) -> None:
        """These nodes have not answered in time."""
        until = {info.node_id: info.online_until for info in self._grid.get_nodes()} if nodes else {}
        self._silent.update((node, until.get(node, 0.0)) for node in nodes)

    def _meet(self, info) -> None:
        self._clients[info.node_id] = None
        name = _named(info)
        if name:
            self._is(info.node_id, int(name[1]))
            return
        query = Message(RecordDict(), info.node_id, MessageType.QUERY, ttl=QUERY_SECONDS)
        for number in self._grid.push_messages([query]):
            if number:
                self._asked[number] = info.node_id

    def _told(self, reply: Message) -> None:
        node = self._asked.pop(reply.metadata.reply_to_message_id, None)
        if node is None:
            return
        if reply.has_error():
            LOG.warning("node %d: expected its client's number, got: %s", node, shown(reply.error.reason))
            return
        self._is(node, reply.content.config_records.get(CLIENT, {}).get(CLIENT))

    def _is(self, node: int, client) -> None:
        if type(client) is int and 0 <= client < self._count:
            LOG.info("node %d is client %d", node, client)
            self._clients[node] = client
        else:
            LOG.warning("node %d: expected a client from 0 to %d, got %s", node, self._count - 1, shown(client))


def _named(info):
    return re.fullmatch(r"client-(\d{1,9})", info.name)
