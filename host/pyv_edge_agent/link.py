"""One board's line: keeps its port open, turns bytes into batches, and batches into UTC.

A `SerialLink` runs in a thread of its own (`run`), or step by step (`step`).
What it learns goes into the agent's inbox in the order in which it came;
nothing is acknowledged until the agent says `committed`. `welcome` and
`committed` may be called from the agent's thread; nothing else may.

States: closed (waiting to open), handshaking (open, no session yet), up, silent
(was up, hears nothing; reopens). Each change is logged once, with what was lost.
"""

import logging
import random
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from struct import unpack_from
from typing import Any

from pyv_edge_core import message, session
from pyv_edge_core.host_session import Batch, HostSession, Report, TimeExchange
from pyv_edge_core.pacing import Pacing
from pyv_edge_core.record_ring import RECORD_FORMAT, RECORD_SIZE

from . import __version__
from .clock import Clock
from .errors import PortError
from .port import Port
from .timeline import Timeline

logger = logging.getLogger(__name__)

CLOSED, HANDSHAKING, UP, SILENT = "closed", "handshaking", "up", "silent"

SILENCE_MS = 12_000  # a board answers every TIME_REQUEST: two in a row are missing
NO_HELLO_MS = 10_000
REOPEN_BASE_S = 0.25
REOPEN_MAX_S = 5.0
CONSOLE_LINES_MAX = 20  # logged per minute; the rest is counted
CONSOLE_LINE_SIZE_MAX = 200
TIMELINES_MAX = 2


@dataclass(frozen=True)
class TimedBatch:
    """A Batch whose base time is in UTC."""

    stream: int
    first_seq: int
    base_utc_ms: int
    error_ms: int | None  # None: the offset to UTC is not known yet
    records: bytes
    boot: int


Inbox = Callable[["SerialLink", Any], bool]
"""Takes (link, Greeting | TimedBatch | Loss | Report); False if it is full."""


def _last_span_ms(records: bytes) -> int:
    """Return how long after the base time the last of `records` was taken."""
    _, flags, span, _ = unpack_from(RECORD_FORMAT, records, len(records) - RECORD_SIZE)
    return int((flags >> 2) << 16 | span)


class SerialLink:
    """The host's side of one serial line."""

    def __init__(
        self, name: str, port: Port, clock: Clock, rng: random.Random, inbox: Inbox
    ) -> None:
        """Prepare a link called `name` over `port`; nothing is opened yet."""
        self.name = name
        self.state = CLOSED
        self.problem = ""  # why it is closed or silent, one line
        self.opens_total = 0
        self.failures_total = 0  # times the port could not be opened or went away
        self.refused_total = 0  # times the inbox was full
        self.console_lines_total = 0
        # Not from 0: answers to requests of an agent before this one may still be on their way.
        self.session = HostSession(host=__version__, pacing=Pacing(rng.getrandbits(16)))
        self.vitals: dict[str, int] = {}  # what the board last said of itself
        self._before: dict[str, int] = {}  # counters of the sessions before this one
        self._port = port
        self._clock = clock
        self._rng = rng
        self._inbox = inbox
        self._timelines: dict[int, Timeline] = {}  # by boot: the current one and the one before
        self._replies: deque[Callable[[], bool]] = deque()  # from the agent's thread
        self._unsent = b""
        self._attempts = 0  # failed in a row
        self._open_at_ms = 0
        self._opened_ms = 0
        self._warned_no_hello = self._warned_deaf = False
        self._is_stopping = threading.Event()
        self._console = b""
        self._console_minute = -1
        self._console_lines = 0

    # -- from the agent's thread ---------------------------------------------------

    def welcome(self, boot: int, next_seq: tuple[int, int]) -> None:
        """Let the greeting board send from these numbers on."""
        self._replies.append(lambda: self.session.welcome(boot, *next_seq))
        self._port.wake()

    def committed(self, boot: int, stream: int, next_seq: int) -> None:
        """Acknowledge what is in the store."""
        self._replies.append(lambda: self.session.committed(boot, stream, next_seq))
        self._port.wake()

    def restart(self) -> None:
        """Forget the session: the board is asked to greet anew and resumes where the store is."""
        self._replies.append(self._forget)
        self._port.wake()

    def _forget(self) -> bool:
        pacing = self.session.pacing  # what is on its way to the board is so still
        self._new_session(pacing)
        pacing.time_lost_total = 0  # those are counted by now
        self.state = HANDSHAKING
        self._opened_ms = self._clock.monotonic_ms()
        self._warned_no_hello = self._warned_deaf = False
        return True

    def stop(self) -> None:
        """Make `run` send what is due and return."""
        self._is_stopping.set()
        self._port.wake()

    # -- thread --------------------------------------------------------------------

    def run(self) -> None:
        """Keep the line up until `stop()`."""
        while not self._is_stopping.is_set():
            try:
                wait_s = self.step()
            except Exception:  # top of a thread
                logger.exception("link %s failed; it starts anew", self.name)
                self._close("internal error, see the log")
                wait_s = REOPEN_MAX_S
            if wait_s > 0:
                self._is_stopping.wait(wait_s)
        try:
            if self.state in (HANDSHAKING, UP):
                self._transmit()  # the acknowledgements of the last commit
        except PortError as error:
            logger.info("link %s: %s", self.name, error)
        self._port.close()
        self.state = CLOSED

    def step(self) -> float:
        """Do one round; return the seconds until the next is due (0 after a read)."""
        now_ms = self._clock.monotonic_ms()
        if self.state in (CLOSED, SILENT):
            if now_ms < self._open_at_ms:
                return (self._open_at_ms - now_ms) / 1000
            return self._open()
        try:
            data = self._port.read()
            now_ms = self._clock.monotonic_ms()
            if data:
                self._receive(data, now_ms)
            self._transmit()
        except PortError as error:
            self._close(str(error))
            return 0.0
        self._watch(now_ms)
        return 0.0

    def _open(self) -> float:
        try:
            self._port.open()
        except PortError as error:
            self._close(str(error))
            return 0.0
        self.opens_total += 1
        self.state = HANDSHAKING
        self._new_session(Pacing(self.session.pacing.token))
        self._replies.clear()
        self._unsent = b""
        self._opened_ms = self._clock.monotonic_ms()
        self._warned_no_hello = self._warned_deaf = False
        return 0.0

    def _close(self, problem: str, state: str = CLOSED) -> None:
        """Give the port up and plan when to try again."""
        self._port.close()
        self.failures_total += 1
        if problem != self.problem:
            logger.warning("link %s: %s; trying again", self.name, problem)
        self.problem = problem
        self.state = state
        longest_s = min(REOPEN_BASE_S * 2 ** min(self._attempts, 10), REOPEN_MAX_S)
        self._attempts += 1
        wait_ms = int(self._rng.uniform(0, longest_s) * 1000) + 1
        self._open_at_ms = self._clock.monotonic_ms() + wait_ms

    def _watch(self, now_ms: int) -> None:
        """Notice a board that says nothing."""
        current = self.session
        if current.state == session.UP and self.state != UP:
            logger.info(
                "link %s: board %s is up after %d failed attempts",
                self.name,
                current.hello.device,
                self._attempts,
            )
            self.state = UP
            self.problem = ""
            self._attempts = 0
        elif self.state == UP and now_ms - current.heard_ms > SILENCE_MS:
            self._close(f"nothing heard for {SILENCE_MS // 1000} s on {self._port.name}", SILENT)
        elif (
            current.hello is None
            and not self._warned_no_hello
            and now_ms - self._opened_ms > NO_HELLO_MS
        ):
            self._warned_no_hello = True
            decoder = current.decoder
            self.problem = (
                f"no HELLO on {self._port.name} within {NO_HELLO_MS // 1000} s;"
                " does the board run the firmware?"
            )
            logger.warning(
                "link %s: %s (%d frames, %d bytes of text, %d of noise so far)",
                self.name,
                self.problem,
                decoder.frames_total,
                decoder.console_bytes_total,
                decoder.noise_bytes_total,
            )
        elif (
            current.state == session.GREETED
            and not self._warned_deaf
            and now_ms - self._opened_ms > NO_HELLO_MS
            and current.time_lost_total
        ):
            self._warned_deaf = True
            self.problem = (
                f"board {current.hello.device} on {self._port.name} is heard but does not answer;"
                " is the line towards it connected?"
            )
            logger.warning("link %s: %s", self.name, self.problem)

    # -- bytes ---------------------------------------------------------------------

    def _receive(self, data: bytes, now_ms: int) -> None:
        events = self.session.receive(data, now_ms)
        # Times first: an exchange in this chunk dates the readings in it better.
        for event in events:
            if isinstance(event, TimeExchange):
                self._learn_time(event)
        for event in events:
            if isinstance(event, TimeExchange):
                continue
            if isinstance(event, Report):
                self._take_report(event)
            if not self._inbox(self, self._timed(event) if isinstance(event, Batch) else event):
                # The board keeps what we don't acknowledge, and sends it again.
                self.refused_total += 1
                raise PortError(f"serial port {self._port.name}: the agent is too far behind")
        text = self.session.decoder.take_console()
        if text:
            self._log_console(text)

    def _transmit(self) -> None:
        while self._replies and not self._unsent:
            self._replies.popleft()()  # False means that the board has moved on: nothing to do
        if not self._unsent:
            self._unsent = self.session.transmit(self._clock.monotonic_ms())
        if self._unsent:
            self._unsent = self._unsent[self._port.write(self._unsent) :]

    # -- time ----------------------------------------------------------------------

    def _learn_time(self, exchange: TimeExchange) -> None:
        timeline = self._timelines.get(exchange.boot)
        if timeline is None:
            while len(self._timelines) >= TIMELINES_MAX:
                del self._timelines[next(iter(self._timelines))]  # the oldest
            timeline = self._timelines[exchange.boot] = Timeline()
        uptime_ms = exchange.uptime_s * 1000 + exchange.uptime_ms
        timeline.exchange(uptime_ms, exchange.sent_ms, exchange.received_ms)

    def _timed(self, batch: Batch) -> TimedBatch:
        now_ms = self._clock.monotonic_ms()
        base_utc_ms = self._clock.utc_ms()
        error_ms = None  # no answer has come yet: the best guess is that it was just now
        timeline = self._timelines.get(batch.boot)
        moment = None
        base_uptime_ms = batch.base_s * 1000 + batch.base_ms
        if timeline is not None:
            moment = timeline.at(base_uptime_ms)
        if timeline is not None and moment is not None:
            base_utc_ms += moment[0] - now_ms
            # The last record may be further from the exchange than the base time is.
            last = timeline.at(base_uptime_ms + _last_span_ms(batch.records))
            assert last is not None
            error_ms = max(moment[1], last[1])
        return TimedBatch(
            batch.stream, batch.first_seq, base_utc_ms, error_ms, batch.records, batch.boot
        )

    # -- console -------------------------------------------------------------------

    def _log_console(self, text: bytes) -> None:
        """Log what the board prints beside its frames, in moderation."""
        lines = (self._console + text).split(b"\n")
        self._console = lines.pop()[-CONSOLE_LINE_SIZE_MAX:]
        for line in lines:
            shown = line[:CONSOLE_LINE_SIZE_MAX].decode("utf-8", "replace").strip()
            if shown:
                self._log_line("prints", shown)

    def _log_line(self, verb: str, text: str) -> None:
        """Log a line of the board's; beyond CONSOLE_LINES_MAX a minute only count it."""
        minute = self._clock.monotonic_ms() // 60_000
        if minute != self._console_minute:
            self._console_minute = minute
            self._console_lines = 0
        self.console_lines_total += 1
        self._console_lines += 1
        if self._console_lines <= CONSOLE_LINES_MAX:
            logger.info("link %s: board %s: %s", self.name, verb, text)

    def _take_report(self, report: Report) -> None:
        if report.kind == message.LOG:
            self._log_line("says", report.message.text)
        elif report.kind == message.VITALS:
            self.vitals = {
                name: value
                for name, value in zip(report.message._fields, report.message, strict=True)
                if name != "tag"
            }

    def _new_session(self, pacing: Pacing) -> None:
        """Begin a session; the counters of the one before are kept."""
        self._before = self._counters()
        self.session = HostSession(host=__version__, pacing=pacing)

    def _counters(self) -> dict[str, int]:
        """Return the counters of all sessions; they only ever rise."""
        current = self.session
        decoder = current.decoder
        counted = {
            "frames_total": decoder.frames_total,
            "frames_bad_total": decoder.bad_fcs_total + decoder.oversize_total,
            "messages_bad_total": current.bad_messages_total,
            "messages_unknown_total": current.unknown_messages_total,
            "messages_stale_total": current.stale_total,
            "console_bytes_total": decoder.console_bytes_total,
            "noise_bytes_total": decoder.noise_bytes_total,
            "duplicates_total": current.duplicates_total,
            "resend_requests_total": current.resend_requests_total,
            "window_exceeded_total": current.window_exceeded_total,
            "time_lost_total": current.time_lost_total,
        }
        return {name: count + self._before.get(name, 0) for name, count in counted.items()}

    def status(self) -> dict[str, Any]:
        """Return the state and the counters as JSON types."""
        hello = self.session.hello
        timelines = list(self._timelines.values())
        return {
            "name": self.name,
            "port": self._port.name,
            "state": self.state,
            "problem": self.problem,
            "device": hello.device if hello is not None else None,
            "boot": f"{hello.boot:08x}" if hello is not None else None,
            "opens_total": self.opens_total,
            "failures_total": self.failures_total,
            "refused_total": self.refused_total,
            "time_disagreements_total": sum(line.disagreements_total for line in timelines),
            **self._counters(),
            "vitals": self.vitals,
        }
