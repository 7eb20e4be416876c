"""loru's messages in Flower's. The bytes of a broadcast or an update are one array, which Flower cuts into chunks of 5 MiB."""

import json
import struct
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
    return Turn(**message.content.config_records[TURN])


def client_of(update: bytes) -> int:
    """The client that an update says it is of: metadata of its safetensors header. Throws ValueError."""
    try:
        (size,) = struct.unpack_from("<Q", update)
        return int(json.loads(update[8:8 + size])["__metadata__"]["client"])
    except (struct.error, LookupError, TypeError, RecursionError) as error:
        raise ValueError(f"update: expected a message of loru, got {len(update)} other bytes") from error
