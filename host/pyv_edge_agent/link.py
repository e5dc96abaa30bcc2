"""One board's line: keeps its port open, turns bytes into batches, dates them.

A `SerialLink` runs in a thread of its own (`run`), or step by step (`step`).
What it learns goes into the agent's inbox in the order in which it came;
nothing is acknowledged until the agent says `committed`. Other threads may call
what stands under "from the agent's thread", and ask for `status`.

Its states are the table in `link_state`; what is asked of the board is in
`board_request`, its settings in `settings_file`, what is said in `dialogue`;
how others get the port for a while, in `port_loan`.
"""

import logging
import random
import secrets
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from pyv_edge_core import message, session
from pyv_edge_core.host_event import Refusal
from pyv_edge_core.host_session import HostSession

from . import link_state, prompt
from .board_request import BoardRequests, Outcome
from .clock import Clock
from .dialogue import Dialogue
from .errors import PortAbsentError, PortError
from .heartbeat import STEP_MS, Heartbeat
from .link_state import BACK_OFF_MAX_S, LENT, LOOK_S, UP, LinkState
from .port import Port
from .port_loan import PortLoan
from .settings_file import SettingsFile

logger = logging.getLogger(__name__)

SILENCE_MS = 12_000  # a board answers every TIME_REQUEST: two in a row are missing
NO_HELLO_MS = 10_000
WAIT_MAX_S = 10.0  # of one step, so that a thread that hangs is noticed
TWICE_MS = 60_000  # a device id on two links is a problem that long after it was last seen

Inbox = Callable[["SerialLink", Any], bool]
"""Takes (link, Greeting | TimedBatch | Loss | Report); False if it is full."""


class SerialLink:
    """The host's side of one serial line."""

    def __init__(
        self,
        name: str,
        port: Port,
        clock: Clock,
        rng: random.Random,
        inbox: Inbox,
        *,
        key: bytes = b"",
        random_bits: Callable[[int], int] = secrets.randbits,
        settings_file: Path | None = None,
    ) -> None:
        """Prepare a link called `name` over `port`; nothing is opened yet.

        With a `key` only a board that has it is heard: `random_bits` must be
        unpredictable. The board is given the settings in `settings_file`.
        """
        self.name = name
        self.opens_total = 0
        self.refused_total = 0  # times the inbox was full
        self.versions_refused_total = 0  # greetings of boards that speak another version
        self.greetings_refused_total = 0  # greetings that can't be used
        self.quarantined_total = 0  # greetings of boards that are not to speak here
        self.twice_total = 0  # greetings with a device id that is in use
        self.states = LinkState(name, clock, rng)
        self.requests = BoardRequests(name, rng.getrandbits(32), clock, self._wake)
        token = rng.getrandbits(16)
        self.dialogue = Dialogue(name, clock, self.requests, token, key, random_bits)
        self.loan = PortLoan(name, port, self.states, self.dialogue, clock, self._wake)
        self._settings = None if settings_file is None else SettingsFile(settings_file)
        self._port = port
        self._clock = clock
        self._inbox = inbox
        self._replies: deque[Callable[[], bool]] = deque()  # from the agent's thread
        self._unsent = b""
        self._greeting_ms = 0  # since when a HELLO is awaited
        self._is_explained = False  # whether it was said why there is no session
        self._is_running = False  # whether a thread is in `run`, or was
        self._is_stopping = threading.Event()
        self._is_woken = threading.Event()
        if self._settings is not None:
            self._warn_of_settings()

    @property
    def session(self) -> HostSession:
        """The core's end of the link, at this opening of the port."""
        return self.dialogue.session

    @property
    def state(self) -> str:
        """The state of the link: see `link_state`."""
        return self.states.state

    @property
    def problem(self) -> str:
        """What is wrong, one line; "" if nothing is."""
        return self.states.problem

    # -- from the agent's thread ---------------------------------------------------

    def welcome(self, boot: int, next_seq: tuple[int, int], after_ms: int | None = None) -> None:
        """Let the greeting board send from these numbers on.

        What they are of was taken after `after_ms`, monotonic, if that is known.
        """
        self._reply(lambda: self._welcome(boot, next_seq, after_ms))

    def refuse(self, boot: int, reason: int, retry_s: int, problem: str) -> None:
        """Let the greeting board be quiet for a while: see session.REFUSED_DEVICE."""
        self._reply(lambda: self._refuse(boot, reason, retry_s, problem))

    def committed(self, boot: int, stream: int, next_seq: int) -> None:
        """Acknowledge what is in the store."""
        self._reply(lambda: self.dialogue.committed(boot, stream, next_seq))

    def restart(self) -> None:
        """Forget the session: the board is asked to greet anew and resumes where the store is."""
        self._reply(self._forget)

    def warn_twice(self, problem: str) -> None:
        """Note that a board with the same device id greets elsewhere."""
        self._reply(lambda: self._warn_twice(problem))

    def is_heard(self, now_ms: int, within_ms: int) -> bool:
        """Return whether it is up and the board was heard lately."""
        return self.state == UP and now_ms - self.session.heard_ms <= within_ms

    def command(
        self, op: str, target: str | int | None = None, value: int = 0, timeout_ms: int = 10_000
    ) -> "Future[Outcome]":
        """Ask the board for a command, from any thread: see `BoardRequests.command`."""
        return self.requests.command(op, target, value, timeout_ms)

    def push_settings(self, content: bytes) -> "Future[Outcome]":
        """Ask the board to restart with these settings, from any thread."""
        return self.requests.push_settings(content)

    def stop(self) -> None:
        """Make `run` send what is due and return; answer what is asked of the board."""
        self._is_stopping.set()
        self.loan.stop()
        self._wake()
        if not self._is_running:
            self.requests.stop()  # else the thread does so, which knows what was sent

    def _reply(self, call: Callable[[], bool]) -> None:
        self._replies.append(call)
        self._port.wake()

    def _wake(self) -> None:
        self._is_woken.set()
        self._port.wake()

    # -- what those lead to, in the link's thread ------------------------------------

    def _welcome(self, boot: int, next_seq: tuple[int, int], after_ms: int | None) -> bool:
        hello = self.dialogue.welcome(boot, next_seq, after_ms)
        if hello is not None and self._settings is not None and not self.dialogue.is_over:
            self._settings.offer(hello, self.requests, self._warn_of_settings)
            self._warn_of_settings()
        return hello is not None

    def _warn_of_settings(self) -> None:
        assert self._settings is not None
        self.states.warn("settings", self._settings.problem)

    def _refuse(self, boot: int, reason: int, retry_s: int, problem: str) -> bool:
        if not self.session.refuse(boot, reason, retry_s):
            return False
        self._is_explained = True
        self.quarantined_total += reason == session.REFUSED_DEVICE
        self.twice_total += reason == session.REFUSED_TWICE
        self.states.trouble(problem)
        return True

    def _forget(self) -> bool:
        self.dialogue.forget()
        self._await_hello()
        self.states.on(link_state.RESTARTED)
        return True

    def _await_hello(self) -> None:
        self._greeting_ms = self._clock.monotonic_ms()
        self._is_explained = False

    def _warn_twice(self, problem: str) -> bool:
        self.states.warn("twice", problem, TWICE_MS)
        return True

    # -- thread --------------------------------------------------------------------

    def run(self, heartbeat: Heartbeat | None = None) -> None:
        """Keep the line up until `stop()`."""
        heartbeat = heartbeat or Heartbeat(self.name, self._clock)
        self._is_running = True
        while not self._is_stopping.is_set():
            self._is_woken.clear()
            heartbeat.beat()
            try:
                wait_s = self.step()
            except Exception:  # top of a thread
                logger.exception("link %s failed; it starts anew", self.name)
                self._close(link_state.FAILED, "internal error, see the log")
                wait_s = BACK_OFF_MAX_S
            if wait_s > 0 and not self._is_stopping.is_set():
                heartbeat.beat(round(wait_s * 1000) + STEP_MS)
                self._is_woken.wait(wait_s)
        self.requests.stop()
        try:
            if self.states.is_open:
                self._transmit()  # the acknowledgements of the last commit
        except PortError as error:
            logger.info("link %s: %s", self.name, error)
        self._close(link_state.STOPPED)
        heartbeat.end()

    def step(self) -> float:
        """Do one round; return the seconds until the next is due (0 after a read)."""
        if not self.states.is_open:
            self.loan.run()
            self.dialogue.run_requests(is_open=False)
            wait_s = self.states.wait_s()
            if wait_s > 0 or self.state == LENT:  # whose time may be over since the line before
                # What is asked of a board that isn't there is given up in time.
                return min(wait_s, WAIT_MAX_S if self.requests.is_idle else LOOK_S)
            self._open()
            return 0.0
        try:
            data = self._port.read()
            now_ms = self._clock.monotonic_ms()
            if data and not self._receive(data, now_ms):
                problem = f"serial port {self._port.name}: the agent is too far behind"
                self._close(link_state.BEHIND, problem)
                return 0.0
            self.dialogue.run_requests(is_open=True)
            self._transmit()
        except PortError as error:
            self._close(link_state.LOST, str(error))
            return 0.0
        self._watch(now_ms)
        self.loan.run()
        return 0.0

    def _open(self) -> None:
        try:
            self._port.open()
        except PortAbsentError as error:
            self.states.on(link_state.ABSENT, str(error))
            return
        except PortError as error:
            self.states.on(link_state.FOUND)
            self.states.on(link_state.NOT_OPENED, str(error))
            return
        self.states.on(link_state.FOUND)
        self.states.on(link_state.OPENED)
        self.opens_total += 1
        self.dialogue.reopen(self._clock.monotonic_ms())
        self._await_hello()
        self._replies.clear()
        self._unsent = b""

    def _close(self, event: str, problem: str = "") -> None:
        """Give the port up; `event` says when to open it again."""
        self._port.close()
        lost = ""
        if self.state == UP:
            up_s = (self._clock.monotonic_ms() - self.states.since_ms) / 1000
            lost = f"; it was up for {up_s:.1f} s, {self.dialogue.uncommitted} readings come again"
        self.states.on(event, problem, lost)

    def _watch(self, now_ms: int) -> None:
        """Notice a board that greets, is up, or says nothing."""
        current = self.session
        self._leave_prompt(now_ms)
        if self.dialogue.is_up:
            if self.state != UP:
                self.states.up(current.hello.device)
                self.states.warn("twice", "")
            elif now_ms - current.heard_ms > SILENCE_MS:
                problem = f"nothing heard for {SILENCE_MS // 1000} s on {self._port.name}"
                self._close(link_state.SILENCE, problem)
            elif self._settings is not None and not self.dialogue.is_over:
                self._settings.run(now_ms, self.requests, self._warn_of_settings)
        else:
            if self.state == UP:
                self.states.on(link_state.GREETED)
                self._await_hello()
            waited_ms = now_ms - self._greeting_ms
            if not self._is_explained and waited_ms > NO_HELLO_MS:
                problem, detail = self.dialogue.diagnosis(self._port.name, waited_ms)
                if problem:
                    self._is_explained = True
                    self.states.trouble(problem, detail)

    def _leave_prompt(self, now_ms: int) -> None:
        """Start a board again that has been stopped, unless a frame is half written."""
        if self._unsent:
            return
        self._unsent = self.dialogue.prompt.due(now_ms)
        if self._unsent == prompt.RESTART:
            self._is_explained = True
            self.states.trouble(
                f"the board on {self._port.name} was at its prompt, restarted;"
                " if it stays there, deploy its firmware"
            )

    # -- bytes ---------------------------------------------------------------------

    def _receive(self, data: bytes, now_ms: int) -> bool:
        """Take bytes of the board's; return False if the agent has no room for what they mean.

        The board keeps what we don't acknowledge, and sends it again.
        """
        for event in self.dialogue.receive(data, now_ms):
            if isinstance(event, Refusal):
                self._note_refusal(event)
            elif not self._inbox(self, event):
                self.refused_total += 1
                return False
        return True

    def _note_refusal(self, refusal: Refusal) -> None:
        hello = refusal.hello
        self._is_explained = True
        if refusal.reason == session.REFUSED_VERSION:
            self.versions_refused_total += 1
            problem = (
                f"speaks link versions {hello.version_min} to {hello.version_max},"
                f" this agent {message.VERSION_MIN} to {message.VERSION};"
            )
        else:
            self.greetings_refused_total += 1
            problem = f"can't be taken: {refusal.problem}; correct that, or"
        self.states.trouble(f"board {hello.device!r} {problem} update the older of the two")

    def _transmit(self) -> None:
        while self._replies and not self._unsent:
            self._replies.popleft()()  # False means that the board has moved on: nothing to do
        if not self._unsent:
            self._unsent = self.session.transmit(self._clock.monotonic_ms())
        if self._unsent:
            self._unsent = self._unsent[self._port.write(self._unsent) :]

    def status(self) -> dict[str, Any]:
        """Return the state and the counters as JSON types."""
        return {
            "name": self.name,
            "port": self._port.name,
            "path": self._port.path or None,
            **self.states.status(),
            **self.dialogue.status(),
            "opens_total": self.opens_total,
            "refused_total": self.refused_total,
            "versions_refused_total": self.versions_refused_total,
            "greetings_refused_total": self.greetings_refused_total,
            "quarantined_total": self.quarantined_total,
            "twice_total": self.twice_total,
            "prompt_restarts_total": self.dialogue.prompt.restarts_total,
            "requests": dict(self.requests.counters),
            "settings": self._settings.status() if self._settings is not None else {},
        }
