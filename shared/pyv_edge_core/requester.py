"""The host's end of requests: one at a time, sent again until answered or too late.

A request is bound to the boot that it was first sent to. If another boot greets
before the RESULT, nobody can say whether it was carried out, so it is not sent
again: at most once, and the answer says that it isn't known. Times are a host's,
which never wrap.
"""

from collections import namedtuple

from . import message
from ._compat import TYPE_CHECKING, const
from .errors import FieldError
from .request import CONFIG_SIZE_MAX
from .session import elapsed_ms

if TYPE_CHECKING:
    from typing import Any

WAITING_MAX = const(16)  # requests, the one under way included

TIMED_OUT = const(256)  # beyond what a RESULT can hold
REBOOTED = const(257)
NOT_SENT = const(258)
ABANDONED = const(259)
CODES = {
    message.RESULT_DONE: "done",
    message.RESULT_FAILED: "failed",
    message.RESULT_UNKNOWN: "unknown command",
    message.RESULT_LATE: "too late",
    TIMED_OUT: "no answer in time",
    REBOOTED: "the board restarted before it answered",
    NOT_SENT: "not sent, the board was not there in time",
    ABANDONED: "the host stopped before the board answered",
}

_AGAIN_MS = const(1000)
_GRACE_MS = const(2000)  # for the RESULT of what was done at the last moment
_STALLED_MS = const(20000)  # a document of which nothing more is taken for so long
_CHUNK_SIZE = const(48)  # of a document: fits what may be in flight however it is stuffed
_CHUNK_SIZE_MIN = const(8)

Answer = namedtuple("Answer", ("request", "code", "value", "text"))
"""What came of a request: see CODES."""


class _Request:
    """One that is not answered yet."""

    def __init__(self, number: int, values: "tuple[int, int, int]", content: bytes) -> None:
        self.number = number
        self.values = values  # op, target, value of a COMMAND
        self.content = content  # the document of a CONFIG; b"" if it is none
        self.hash = 0
        self.offset = 0  # what of the document comes next
        self.until_ms = 0
        self.boot = -1  # the only one that it may be sent to; -1: any
        self.is_sent = False  # whether it ever was
        self.sent_ms = -1  # -1: to be sent at once


class Requester:
    """What a host asks of one device, in order."""

    def __init__(self, number: int) -> None:
        """Number requests from `number` on, a random one, lest an earlier host used it."""
        self._number = number
        self._waiting: list[_Request] = []
        self._chunk_size = _CHUNK_SIZE

    def command(self, op: int, target: int, value: int, until_ms: int, boot: int = -1) -> int:
        """Ask for a command, to be carried out before `until_ms`; return its number.

        With a `boot` it is for that one only: another may have other channels. Raises
        FieldError for what doesn't fit, and if WAITING_MAX wait already.
        """
        message.pack(message.COMMAND, 0, 0, 0, 0, op, target, value)  # raises what is wrong
        request = _Request(self._number, (op, target, value), b"")
        request.boot = boot
        return self._add(request, until_ms)

    def config(self, content: bytes, hash_crc: int, now_ms: int) -> int:
        """Ask for settings to be taken over, whose CRC-32 is `hash_crc`; return the number.

        Raises FieldError for none, for more than CONFIG_SIZE_MAX bytes, and if
        WAITING_MAX wait already.
        """
        if not 1 <= len(content) <= CONFIG_SIZE_MAX:
            raise FieldError("content: %d bytes, 1..%d" % (len(content), CONFIG_SIZE_MAX))
        request = _Request(self._number, (0, 0, 0), content)
        request.hash = hash_crc
        return self._add(request, now_ms + _STALLED_MS)

    def _add(self, request: _Request, until_ms: int) -> int:
        if len(self._waiting) >= WAITING_MAX:
            raise FieldError("request: %d wait already, no more fit" % WAITING_MAX)
        request.until_ms = until_ms
        self._waiting.append(request)
        self._number = (self._number + 1) & 0xFFFFFFFF
        return request.number

    def next_message(self, tag: int, boot: int, now_ms: int, uptime_ms: int) -> bytes:
        """Return what is to be sent to the boot now, whose uptime is `uptime_ms`; b"": nothing."""
        if not self._waiting:
            return b""
        request = self._waiting[0]
        if request.boot not in (-1, boot):
            return b""  # `expire` will say so
        if request.sent_ms >= 0 and elapsed_ms(now_ms, request.sent_ms) < _AGAIN_MS:
            return b""
        if request.content:
            content = request.content[request.offset : request.offset + self._chunk_size]
            size = len(request.content)
            values = (boot, request.number, size, request.hash, request.offset, content)
            return message.pack(message.CONFIG, tag, *values)
        until_s = min(0xFFFFFFFF, max(0, uptime_ms + request.until_ms - now_ms) // 1000)
        return message.pack(message.COMMAND, tag, boot, request.number, until_s, *request.values)

    def sent(self, boot: int, now_ms: int) -> None:
        """Note that the message has left for `boot`."""
        request = self._waiting[0]
        request.boot = boot
        request.is_sent = True
        request.sent_ms = now_ms

    def shrink(self) -> None:
        """Send documents in smaller pieces: a message did not fit what may be in flight."""
        self._chunk_size = max(_CHUNK_SIZE_MIN, self._chunk_size // 2)

    def answered(self, result: "Any", now_ms: int) -> "Answer | None":
        """Take a RESULT; return the Answer if it ends a request."""
        if not self._waiting or self._waiting[0].number != result.request:
            return None  # a repetition of one that has ended
        request = self._waiting[0]
        if result.code != message.RESULT_MORE:
            self._waiting.pop(0)
            return Answer(request.number, result.code, result.value, result.text)
        if request.content and result.value < len(request.content):
            if result.value > request.offset:
                request.until_ms = now_ms + _STALLED_MS
            request.offset = result.value
            request.sent_ms = -1
        return None

    def abandon(self) -> "list[Answer]":
        """Give up all that is not answered: NOT_SENT, or ABANDONED if it may have been done."""
        waiting, self._waiting = self._waiting, []
        return [
            Answer(request.number, ABANDONED if request.is_sent else NOT_SENT, 0, "")
            for request in waiting
        ]

    def expire(self, boot: int, now_ms: int) -> "list[Answer]":
        """Give up what is too late, or was sent to another boot; `boot` is -1 if none is up."""
        answers = []
        for request in self._waiting[:]:
            is_sent = request.is_sent
            if boot >= 0 and request.boot not in (-1, boot):
                code = REBOOTED if is_sent else NOT_SENT
            elif now_ms >= request.until_ms + is_sent * _GRACE_MS:
                code = TIMED_OUT if is_sent else NOT_SENT
            else:
                continue
            self._waiting.remove(request)
            answers.append(Answer(request.number, code, 0, ""))
        return answers
