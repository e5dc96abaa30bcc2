"""A board that greets: its HELLO, and the channel table that follows in pieces."""

from . import channel_table
from ._compat import TYPE_CHECKING
from .errors import MessageError
from .host_event import Greeting

if TYPE_CHECKING:
    from typing import Any

    from .reading import Channel


class Arrival:
    """Gathers one greeting after another."""

    def __init__(self) -> None:
        self.hello: Any = None  # whose channel table is not complete yet
        self._channels: list[Channel | channel_table.AlertRow] = []

    def begin(self, hello: "Any") -> "Greeting | None":
        """Take a HELLO; return the greeting if no table follows. Raises MessageError."""
        if hello.boot & 0xFFFF != hello.tag:
            raise MessageError("HELLO of boot %d with tag %d" % (hello.boot, hello.tag))
        self.hello = hello
        self._channels = []
        return None if hello.channel_count else self._end()

    def add(self, received: "Any") -> "Greeting | None":
        """Take a CHANNELS message; return the greeting if the table is whole. Raises MessageError.

        One that is of another HELLO, or not the next, is ignored: the next HELLO
        brings them all again.
        """
        hello = self.hello
        if hello is None or received.tag != hello.tag or received.first != len(self._channels):
            return None
        self._channels.extend(channel_table.parse(received.entries))
        if len(self._channels) < hello.channel_count:
            return None
        if channel_table.crc(self._channels) != hello.channels_crc:
            self._channels = []
            raise MessageError("CHANNELS don't make the table that HELLO announced")
        return self._end()

    def _end(self) -> "Greeting":
        greeting = Greeting(self.hello, self._channels)
        self.hello = None
        self._channels = []
        return greeting
