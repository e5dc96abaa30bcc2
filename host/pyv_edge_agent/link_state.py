"""The states of a link as a table: what leads where, and how long it waits there.

    searching    the port isn't there, or it can't be told which one it is
    opening      it is there, and could not be opened or kept open so far
    handshaking  it is open; there is no session yet
    up           there is a session
    silent       there was one, and nothing is heard any more: the port is opened anew
    lent         another program has the port for a while: see port_loan

Each change of state is logged once, on the way down with what was lost, on the
way up with how long it took. What fails again in the same way is only counted.
"""

import logging
import random
from typing import Any

from .clock import Clock

logger = logging.getLogger(__name__)

SEARCHING, OPENING, HANDSHAKING = "searching", "opening", "handshaking"
UP, SILENT, LENT = "up", "silent", "lent"
STATES = (SEARCHING, OPENING, HANDSHAKING, UP, SILENT, LENT)

# What happens to a link.
ABSENT = "the port is not there"
FOUND = "the port is there"
NOT_OPENED = "it can't be opened"
OPENED = "it is open"
WELCOMED = "there is a session"
GREETED = "the board greets"
LOST = "the port went away"
SILENCE = "nothing is heard"
BEHIND = "the agent is too far behind"
RESTARTED = "the session is forgotten"
LENDING = "the port is lent"
RETURNED = "the loan is over"
FAILED = "an internal error"
STOPPED = "the link ends"

# How long it then waits.
AT_ONCE = "at once"
LOOK = "0.5 s"
BACK_OFF = "back-off"
AGREED = "as agreed"  # until the loan is over

LOOK_S = 0.5
BACK_OFF_BASE_S = 0.25
BACK_OFF_MAX_S = 5.0

# what happens: {state: (the next, the wait there)}; what isn't here can't happen
TABLE: dict[str, dict[str, tuple[str, str]]] = {
    ABSENT: dict.fromkeys((SEARCHING, OPENING, SILENT), (SEARCHING, LOOK)),
    FOUND: dict.fromkeys((SEARCHING, OPENING, SILENT), (OPENING, AT_ONCE)),
    NOT_OPENED: {OPENING: (OPENING, BACK_OFF)},
    OPENED: {OPENING: (HANDSHAKING, AT_ONCE)},
    WELCOMED: {HANDSHAKING: (UP, AT_ONCE)},
    GREETED: {UP: (HANDSHAKING, AT_ONCE)},
    # A port that goes before the board was up may do so again and again.
    LOST: {HANDSHAKING: (OPENING, BACK_OFF), UP: (SEARCHING, LOOK)},
    SILENCE: {UP: (SILENT, BACK_OFF)},
    BEHIND: dict.fromkeys((HANDSHAKING, UP), (OPENING, BACK_OFF)),
    RESTARTED: dict.fromkeys((HANDSHAKING, UP), (HANDSHAKING, AT_ONCE)),
    LENDING: dict.fromkeys(STATES, (LENT, AGREED)),
    RETURNED: {LENT: (SEARCHING, AT_ONCE)},
    # Whatever fails here, the port is somebody else's.
    FAILED: {**dict.fromkeys(STATES, (OPENING, BACK_OFF)), LENT: (LENT, AGREED)},
    STOPPED: dict.fromkeys(STATES, (SEARCHING, AT_ONCE)),
}
OPEN = (HANDSHAKING, UP)  # the states in which the port is open


class LinkState:
    """Where one link stands, since when, and what is wrong."""

    def __init__(self, name: str, clock: Clock, rng: random.Random) -> None:
        """Begin in SEARCHING, due at once."""
        self.state = SEARCHING
        self.since_ms = clock.monotonic_ms()
        self.entered_total = dict.fromkeys(STATES, 0)
        self.entered_total[SEARCHING] = 1
        self.failures_total = 0  # times that something led to a back-off
        self._name = name
        self._clock = clock
        self._rng = rng
        self._trouble = ""  # why it isn't up, one line
        self._warnings: dict[str, tuple[str, int | None]] = {}  # (line, until when), also if up
        self._attempts = 0  # failed in a row
        self._due_ms = self.since_ms
        self._lent_until_ms = self.since_ms
        self._down_ms = self.since_ms  # when it was last up, or began
        self._last = STOPPED  # what happened last

    @property
    def changed_ms(self) -> int:
        """Since when it is up, or isn't: monotonic."""
        return self.since_ms if self.state == UP else self._down_ms

    @property
    def is_open(self) -> bool:
        """Whether the port is open in this state."""
        return self.state in OPEN

    @property
    def problem(self) -> str:
        """What is wrong, one line; "" if nothing is."""
        now_ms = self._clock.monotonic_ms()
        lines = [self._trouble] if self._trouble else []
        for line, until_ms in list(self._warnings.values()):
            if until_ms is None or now_ms < until_ms:
                lines.append(line)
        return "; ".join(lines)

    @property
    def lent_until_utc_ms(self) -> int | None:
        """Until when the port is lent, None if it isn't."""
        until_ms = self._lent_until_ms
        if self.state != LENT:
            return None
        return self._clock.utc_ms() + until_ms - self._clock.monotonic_ms()

    @property
    def lent(self) -> str:
        """That the port is lent, and until when, in words; "" if it isn't."""
        until_ms = self.lent_until_utc_ms
        if until_ms is None:
            return ""
        hours, minutes = divmod(until_ms // 60_000, 60)
        return f"lent until {hours % 24:02}:{minutes:02} UTC"

    def status(self) -> dict[str, Any]:
        """Return all that as JSON types."""
        until_ms = self.lent_until_utc_ms
        return {
            "state": self.state,
            "state_s": (self._clock.monotonic_ms() - self.since_ms) / 1000,
            "problem": self.problem,
            "lent_until": None if until_ms is None else until_ms / 1000,
            "entered_total": dict(self.entered_total),
            "failures_total": self.failures_total,
        }

    def wait_s(self) -> float:
        """Return the seconds until the port is to be opened, 0 if that is due."""
        return max(0, self._due_ms - self._clock.monotonic_ms()) / 1000

    def on(self, event: str, problem: str = "", lost: str = "") -> None:
        """Go where `event` leads. Of `problem` and what was `lost` the log tells."""
        before = self.state
        state, wait = TABLE[event][before]
        now_ms = self._clock.monotonic_ms()
        self._due_ms = now_ms
        if wait == LOOK:
            self._due_ms += int(LOOK_S * 1000)
        elif wait == BACK_OFF:
            self._back_off(now_ms)
        elif wait == AGREED:
            self._due_ms = self._lent_until_ms
        if problem:
            self._tell(event, wait, problem, lost)
        if state == UP or event == LENDING:
            self._trouble = ""
            self._attempts = 0
        if before == UP and state != UP:
            self._down_ms = now_ms
        if state != before:
            self.state = state
            self.since_ms = now_ms
            self.entered_total[state] += 1
            logger.debug("link %s: %s, was %s: %s", self._name, state, before, event)
        self._last = event

    def up(self, device: str) -> None:
        """Go up, with the board of that id."""
        down_s = (self._clock.monotonic_ms() - self._down_ms) / 1000
        logger.info(
            "link %s: board %s is up after %.1f s and %d failed attempts",
            self._name,
            device,
            down_s,
            self._attempts,
        )
        self.on(WELCOMED)

    def lend(self, until_ms: int) -> None:
        """Have the port lent until then, on the monotonic clock; nothing is wrong meanwhile."""
        self._lent_until_ms = until_ms
        self.on(LENDING)

    def trouble(self, problem: str, detail: str = "") -> None:
        """Note why it isn't up; it is so until it is, or until there is another reason."""
        if problem != self._trouble:
            logger.warning("link %s: %s%s", self._name, problem, detail)
        self._trouble = problem

    def warn(self, about: str, problem: str, for_ms: int | None = None) -> None:
        """Note what is wrong although the link may be up; "" if nothing is, about that.

        It stands until it is noted otherwise, at most `for_ms`.
        """
        now_ms = self._clock.monotonic_ms()
        known, until_ms = self._warnings.pop(about, ("", None))
        if until_ms is not None and now_ms >= until_ms:
            known = ""
        if not problem:
            return
        if problem != known:
            logger.warning("link %s: %s", self._name, problem)
        self._warnings[about] = (problem, None if for_ms is None else now_ms + for_ms)

    def _back_off(self, now_ms: int) -> None:
        longest_s = min(BACK_OFF_BASE_S * 2 ** min(self._attempts, 10), BACK_OFF_MAX_S)
        self._attempts += 1
        self.failures_total += 1
        self._due_ms = now_ms + int(self._rng.uniform(0, longest_s) * 1000) + 1

    def _tell(self, event: str, wait: str, problem: str, lost: str) -> None:
        # That a port which just went away is not there is no news.
        if problem != self._trouble and not (event == ABSENT and self._last == LOST):
            what_next = "looking for it" if wait == LOOK else "trying again"
            logger.warning("link %s: %s%s; %s", self._name, problem, lost, what_next)
        self._trouble = problem
