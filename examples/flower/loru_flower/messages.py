"""loru's messages in Flower's. The bytes of a broadcast or an update are one array, which Flower cuts into chunks of 5 MiB."""

import re
from dataclasses import asdict, dataclass

from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MessageType, RecordDict

MESSAGE, TURN, CLIENT = "message", "turn", "client"


@dataclass(frozen=True)
class Turn:
    """What a node has to know beside its broadcast.

    federation  the name of this federation, which the server drew at random when it began
    round       the number of the round
    arrived     the last round whose update of this client reached the server; 0: none did
    folded      the last round whose update of this client became part of the model; 0: none did
    whole       whether the broadcast brings any weights up to date, also those from the seed
    """

    federation: str
    round: int
    arrived: int
    folded: int
    whole: bool


def records(data: bytes) -> RecordDict:
    return RecordDict({MESSAGE: ArrayRecord({MESSAGE: Array("uint8", (len(data),), "loru", data)})})


def data_of(message: Message) -> bytes:
    """Throws LookupError for a message without bytes."""
    return message.content.array_records[MESSAGE][MESSAGE].data


def broadcast_message(data: bytes, turn: Turn, node: int, seconds: float) -> Message:
    content = records(data)
    content[TURN] = ConfigRecord(asdict(turn))
    return Message(content, node, MessageType.TRAIN, ttl=seconds, group_id=str(turn.round))


def turn_of(message: Message) -> Turn:
    """Throws LookupError, TypeError or ValueError for what no server of this app sends: parts of it become paths."""
    turn = Turn(**message.content.config_records[TURN])
    if not isinstance(turn.federation, str) or not re.fullmatch(r"[0-9a-f]{32}", turn.federation):
        raise ValueError(f"turn: federation: expected 32 hexadecimal digits, got {shown(turn.federation)}")
    for name in ("round", "arrived", "folded"):
        number = getattr(turn, name)
        if type(number) is not int or not 0 <= number < 2**32:
            raise ValueError(f"turn: {name}: expected a round, got {shown(number)}")
    if type(turn.whole) is not bool:
        raise ValueError(f"turn: whole: expected true or false, got {shown(turn.whole)}")
    return turn


def shown(said) -> str:
    """What another machine said, as one line of ASCII that is not too long."""
    return ascii(str(said)[:300])[1:-1]
