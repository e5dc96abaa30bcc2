"""Requests to a board, from any thread: each has a Future that is always answered.

The core's `Requester` decides what is sent when, and that it is done at most
once. Here commands and channels have names, and what came of each is logged and
counted. Only the link's thread calls `run` and `answered`.
"""

import logging
import threading
from binascii import crc32
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field

from pyv_edge_core import message, request, requester
from pyv_edge_core.errors import FieldError

from .clock import Clock
from .console import visible
from .errors import ImpossibleRequestError, RequestError

logger = logging.getLogger(__name__)

OPS = {
    "identify": request.IDENTIFY,
    "set_rate": request.SET_RATE,
    "read_now": request.READ_NOW,
    "reset": request.RESET,
    "safe_mode": request.SAFE_MODE,
}
CHANNEL_OPS = ("set_rate", "read_now")  # those that are about a channel
OPEN_MAX = requester.WAITING_MAX
TIMEOUT_MS_MAX = 3_600_000
# Under what the outcomes are counted.
_COUNTERS = {
    message.RESULT_DONE: "done_total",
    message.RESULT_FAILED: "failed_total",
    message.RESULT_UNKNOWN: "unknown_total",
    message.RESULT_LATE: "late_total",
    requester.TIMED_OUT: "timed_out_total",
    requester.REBOOTED: "rebooted_total",
    requester.NOT_SENT: "not_sent_total",
    requester.ABANDONED: "abandoned_total",
}
_REFUSED = "refused_total"  # they never reached the requester


@dataclass(frozen=True)
class Outcome:
    """What came of a request: `name` is one of `requester.CODES`."""

    code: int
    name: str
    value: int
    text: str  # the board's words, if it has any, in one line

    @property
    def is_done(self) -> bool:
        """Whether the board has done it."""
        return self.code == message.RESULT_DONE


@dataclass
class _Request:
    what: str  # for the log
    op: int = 0
    target: str | int | None = None
    value: int = 0
    content: bytes = b""  # settings; b"": it is a command
    until_ms: int = 0
    future: "Future[Outcome]" = field(default_factory=Future)


def _check_whole(name: str, value: object, low: int, high: int) -> None:
    """Raise RequestError unless `value` is a whole number from `low` to `high`."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ImpossibleRequestError(f"{name}: {value!r} is not a whole number in {low}..{high}")


class BoardRequests:
    """What is asked of the board at the end of one link."""

    def __init__(self, name: str, number: int, clock: Clock, wake: Callable[[], None]) -> None:
        """Number requests from the random `number` on; `wake` makes the link call `run`."""
        self.requester = requester.Requester(number)
        self.counters = dict.fromkeys((*_COUNTERS.values(), _REFUSED), 0)
        self._name = name
        self._clock = clock
        self._wake = wake
        self._lock = threading.Lock()
        self._waiting: list[_Request] = []  # for the link's thread to take over
        self._asked: dict[int, _Request] = {}  # by the requester's number
        self._is_stopped = False

    # -- from any thread -----------------------------------------------------------

    def command(
        self, op: str, target: str | int | None, value: int, timeout_ms: int
    ) -> "Future[Outcome]":
        """Ask for a command; `target` is a channel by its name at the board or its number.

        Raises RequestError for what no board could do. The future has an Outcome,
        or RequestError if the request could not be made.
        """
        if op not in OPS:
            raise ImpossibleRequestError(f"{op!r} is no command; there are {', '.join(OPS)}")
        _check_whole("value", value, 0, 0xFFFFFFFF)
        _check_whole("timeout_ms", timeout_ms, 1, TIMEOUT_MS_MAX)
        if target is not None and not isinstance(target, str):
            _check_whole("target", target, 0, request.ALL_CHANNELS)
        if target is None:
            if op == "set_rate":
                raise ImpossibleRequestError("set_rate: name the channel whose rate it is")
            target = request.ALL_CHANNELS if op == "read_now" else 0
        until_ms = self._clock.monotonic_ms() + timeout_ms
        channel = "all channels" if target == request.ALL_CHANNELS else target
        what = f"{op} of {channel}" if op in CHANNEL_OPS else op
        return self._add(_Request(f"{what}, value {value}", OPS[op], target, value, b"", until_ms))

    def push_settings(self, content: bytes) -> "Future[Outcome]":
        """Ask the board to take over `content` as its settings, and to restart with them.

        Raises RequestError if they are none, or too large for a board.
        """
        if not 1 <= len(content) <= request.CONFIG_SIZE_MAX:
            raise RequestError(
                f"settings of {len(content)} bytes: must be 1..{request.CONFIG_SIZE_MAX}"
            )
        what = f"settings {crc32(content):08x} of {len(content)} bytes"
        return self._add(_Request(what, content=content))

    def _add(self, asked: _Request) -> "Future[Outcome]":
        assert asked.future.set_running_or_notify_cancel()  # from now on it can't be cancelled
        problem = ""
        with self._lock:
            if self._is_stopped:
                problem = "the link has stopped"
            elif len(self._waiting) + len(self._asked) >= OPEN_MAX:
                problem = f"{OPEN_MAX} requests wait already; wait for their answers"
            else:
                self._waiting.append(asked)
        if problem:
            self._refuse(asked, problem)
        else:
            logger.info("link %s: the board is asked for %s", self._name, asked.what)
            self._wake()
        return asked.future

    def stop(self) -> None:
        """Answer all that is open, with RequestError what was not sent; so is what comes later.

        Only the link's thread may call it while that runs.
        """
        with self._lock:
            self._is_stopped = True
            ended, self._waiting = self._waiting, []
        for answer in self.requester.abandon():
            if answer.code == requester.NOT_SENT:
                with self._lock:
                    ended.append(self._asked.pop(answer.request))
            else:
                self.answered(answer)
        for asked in ended:
            self._refuse(asked, "the link has stopped")

    @property
    def is_idle(self) -> bool:
        """Whether nothing is open."""
        return not self._waiting and not self._asked

    # -- the link's thread ---------------------------------------------------------

    def run(self, boot: int, channels: Mapping[str, int] | None) -> None:
        """Take over what was asked for, and give up what is too late.

        `boot` is the one that is up, -1 if none is; `channels` are the places of
        names in the table of the board that was last welcomed.
        """
        if self.is_idle:  # as nearly always, and this runs with every read of the port
            return
        now_ms = self._clock.monotonic_ms()
        with self._lock:
            waiting, self._waiting = self._waiting, []
        if boot < 0:
            channels = None  # the next boot may have others
        kept = [asked for asked in waiting if not self._take_over(asked, boot, channels, now_ms)]
        with self._lock:
            self._waiting[:0] = [] if self._is_stopped else kept
        if self._is_stopped:
            for asked in kept:
                self._refuse(asked, "the link has stopped")
        for answer in self.requester.expire(boot, now_ms):
            self.answered(answer)

    def _take_over(
        self, asked: _Request, boot: int, channels: Mapping[str, int] | None, now_ms: int
    ) -> bool:
        """Hand a request to the requester; return False if it has to wait for the channels."""
        target = asked.target
        only_boot = -1
        try:
            if isinstance(target, str):
                if channels is None:
                    if now_ms >= asked.until_ms:
                        self._end(asked, requester.Answer(0, requester.NOT_SENT, 0, ""))
                        return True
                    return False
                if target not in channels:
                    known = ", ".join(channels)
                    raise ImpossibleRequestError(f"no channel {target!r}; there are {known}")
                target = channels[target]
                only_boot = boot  # whose channels they are
            if asked.content:
                number = self.requester.config(asked.content, crc32(asked.content), now_ms)
            else:
                number = self.requester.command(
                    asked.op, target or 0, asked.value, asked.until_ms, only_boot
                )
        except (FieldError, RequestError) as error:
            self._refuse(asked, str(error), type(error))
            return True
        with self._lock:
            if not self._is_stopped:
                self._asked[number] = asked
                return True
        self._refuse(asked, "the link has stopped")
        return True

    def answered(self, answer: requester.Answer) -> None:
        """Take what came of a request."""
        with self._lock:
            asked = self._asked.pop(answer.request, None)
        assert asked is not None  # the requester answers once what it was given
        self._end(asked, answer)

    def _end(self, asked: _Request, answer: requester.Answer) -> None:
        name = requester.CODES.get(answer.code, f"code {answer.code}")
        counter = _COUNTERS.get(answer.code, _COUNTERS[message.RESULT_FAILED])
        with self._lock:
            self.counters[counter] += 1
        outcome = Outcome(answer.code, name, answer.value, visible(" ".join(answer.text.split())))
        text = f" ({outcome.text})" if outcome.text else ""
        logger.info("link %s: %s: %s%s", self._name, asked.what, name, text)
        asked.future.set_result(outcome)

    def _refuse(self, asked: _Request, problem: str, kind: type[Exception] = RequestError) -> None:
        with self._lock:
            self.counters[_REFUSED] += 1
        logger.warning("link %s: %s: %s", self._name, asked.what, problem)
        told = ImpossibleRequestError if kind is ImpossibleRequestError else RequestError
        asked.future.set_exception(told(f"{self._name}: {asked.what}: {problem}"))
