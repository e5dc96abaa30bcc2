"""A board that greets: its HELLO, and the channel table that follows in pieces.

A board whose greeting no host could use is refused: it would else greet for
ever and nobody would know why.
"""

from . import channel_table, message
from ._compat import TYPE_CHECKING
from .errors import FieldError, MessageError
from .host_event import Greeting, Refusal
from .reading import check_name
from .session import REFUSED_GREETING, REFUSED_VERSION

if TYPE_CHECKING:
    from typing import Any

    from .reading import Channel


class Arrival:
    """Gathers one greeting after another."""

    def __init__(self) -> None:
        self.hello: Any = None  # whose channel table is not complete yet
        self._rows: list[Channel | channel_table.AlertRow] = []

    def begin(self, hello: "Any") -> "Greeting | Refusal | None":
        """Take a HELLO; return the greeting if no table follows.

        Raises MessageError for one that contradicts itself.
        """
        if hello.tag != message.tag_of(hello.boot, hello.flags):
            raise MessageError("HELLO of boot %d with tag %d" % (hello.boot, hello.tag))
        self.hello = hello
        self._rows = []
        if hello.version_min > message.VERSION or hello.version_max < message.VERSION_MIN:
            return self._refuse(REFUSED_VERSION, "")
        try:
            check_name("device", hello.device)
        except FieldError as error:
            return self._refuse(REFUSED_GREETING, str(error))
        return None if hello.channel_count else self._end_table()

    def add(self, received: "Any") -> "Greeting | Refusal | None":
        """Take a CHANNELS message; return the greeting if the table is whole and makes sense.

        One that is of another HELLO, or not the next, is ignored: the next HELLO
        brings them all again.
        """
        hello = self.hello
        if hello is None or received.tag != hello.tag or received.first != len(self._rows):
            return None
        try:
            self._rows.extend(channel_table.parse(received.entries, len(self._rows)))
        except MessageError as error:
            return self._refuse(REFUSED_GREETING, str(error))
        return None if len(self._rows) < hello.channel_count else self._end_table()

    def _end_table(self) -> "Greeting | Refusal":
        hello, rows = self.hello, self._rows
        try:
            if len(rows) != hello.channel_count or channel_table.crc(rows) != hello.channels_crc:
                raise MessageError("CHANNELS don't make the table that HELLO announced")
            _check(rows)
        except MessageError as error:
            return self._refuse(REFUSED_GREETING, str(error))
        greeting = Greeting(self.hello, self._rows)
        self.hello = None
        self._rows = []
        return greeting

    def _refuse(self, reason: int, problem: str) -> "Refusal":
        refusal = Refusal(self.hello, reason, problem)
        self.hello = None
        return refusal


def _check(rows: "list[Channel | channel_table.AlertRow]") -> None:
    """See that names are told apart, and alerts about something. Raises MessageError."""
    names: set[str] = set()
    for place, row in enumerate(rows):
        if isinstance(row, channel_table.AlertRow):
            if row.severity > channel_table.SEVERITY_MAX:
                raise MessageError(
                    "channel table, entry %d: %d is no severity" % (place, row.severity)
                )
            if row.channel >= len(names):
                raise MessageError(
                    "channel table, entry %d: alert %r is about channel %d, there are %d"
                    % (place, row.rule, row.channel, len(names))
                )
        elif row.name in names:
            raise MessageError("channel table, entry %d: %r comes twice" % (place, row.name))
        elif len(names) < place:
            raise MessageError(
                "channel table, entry %d: channel %r comes behind alerts" % (place, row.name)
            )
        else:
            names.add(row.name)
