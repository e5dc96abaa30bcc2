"""What the bytes of a line mean: the events that a `Tap` makes of them."""

from typing import Any, NamedTuple

from pyv_edge_core import message
from pyv_edge_core.channel_table import AlertRow
from pyv_edge_core.reading import Channel

Rows = tuple[Channel | AlertRow, ...]

# type of a message: its name in PROTOCOL.md
NAMES = {
    getattr(message, name): name
    for name in (
        *("HELLO", "CHANNELS", "WELCOME", "DATA", "GAP", "ACK", "TIME_REQUEST", "TIME_RESPONSE"),
        *("HELLO_REQUEST", "VITALS", "LOG", "REFUSAL", "COMMAND", "CONFIG", "RESULT"),
    )
}

SEALED_UNCHECKED = "unchecked"  # no key was given
SEALED_UNKNOWN = "unknown session"  # its HELLO was not seen
SEALED_GENUINE = "genuine"
SEALED_WRONG = "wrong"  # forged, of another session, or the key is another
SEALED_REPEATED = "repeated"


class Message(NamedTuple):
    """A whole frame. `parsed` is None if its message can't be read: `problem` says why."""

    at_ns: int
    direction: int
    size: int  # bytes on the wire, flags and stuffing included
    wire: bytes  # the message as it came, under its seal if it has one
    payload: bytes  # the message, without its seal
    kind: int
    parsed: Any
    problem: str
    seal: str  # one of SEALED_..., "" if it is not sealed
    rows: Rows  # the channel table that it goes by, as far as it is known

    @property
    def name(self) -> str:
        """What PROTOCOL.md calls its type."""
        return NAMES.get(self.kind, f"type {self.kind}")


class Damaged(NamedTuple):
    """What stood between two flags and is no frame."""

    at_ns: int
    direction: int
    size: int
    reason: str
    raw: bytes  # as it stood there, so far as it was kept


class Console(NamedTuple):
    """A line of text beside the frames, or what there was of it when a frame began."""

    at_ns: int
    direction: int
    text: bytes


class Noise(NamedTuple):
    """Bytes that are neither."""

    at_ns: int
    direction: int
    size: int


Event = Message | Damaged | Console | Noise
