"""What is said over one line, through all openings of its port and all boards.

Owns the core's `HostSession`, of which each opening of the port begins another,
and what outlives it: the challenge of an authenticated link, the requests, the
counters, the boards' times. Knows no port. Belongs to the link's thread.
"""

from collections.abc import Callable
from itertools import groupby
from typing import Any

from pyv_edge_core import host_states, message
from pyv_edge_core.challenge import Challenge
from pyv_edge_core.host_event import Batch, Greeting, Loss, Report, TimeExchange
from pyv_edge_core.host_session import HostSession
from pyv_edge_core.message_to_host import RESET_CAUSES
from pyv_edge_core.pacing import Pacing
from pyv_edge_core.reading import Channel
from pyv_edge_core.record_ring import RECORD_SIZE
from pyv_edge_core.requester import Answer

from . import __version__
from .board_request import BoardRequests
from .clock import Clock
from .console import Console
from .dating import Dating, TimedBatch
from .prompt import Prompt

DEAF_COUNT = 5  # messages that answer no challenge: fewer come before it can have arrived
# A board with a sealed session hears no other host before it has missed that one for 15 s.
DEAF_MS = 20_000


class Dialogue:
    """The host's part of one link's conversation."""

    def __init__(
        self,
        name: str,
        clock: Clock,
        requests: BoardRequests,
        token: int,
        key: bytes,
        random_bits: Callable[[int], int],
    ) -> None:
        """Begin the first session; with a `key` only a board that has it is heard.

        Its requests for the time are numbered behind the random `token`: answers to
        those of an agent before this one may still be on their way.
        """
        self.requests = requests
        self.console = Console(name, clock)
        self.dating = Dating()
        self.prompt = Prompt()
        self.vitals: dict[str, int] = {}  # what the board last said of itself
        self._vitals_boot: int | None = None  # of which boot that was
        self.channels: dict[str, int] | None = None  # of the board welcomed last, by name
        self.challenge = Challenge(key, random_bits) if key else None
        self._before: dict[str, int] = {}  # counters of the sessions before this one
        self._greeting: Greeting | None = None  # the latest
        self._received = [0, 0]  # per stream, how far the agent has been handed it
        self._committed = [0, 0]
        self._turned_away: dict[str, int] = {}  # seal_counters() when the session began
        self.session = self._make_session(token)

    def _make_session(self, token: int, pacing: Pacing | None = None) -> HostSession:
        self._turned_away = self.seal_counters()
        if pacing is None:
            pacing = Pacing(token, None if self.challenge is None else self.challenge.seal)
        return HostSession(
            host=__version__,
            pacing=pacing,
            challenge=self.challenge,
            requester=self.requests.requester,
        )

    def reopen(self, now_ms: int) -> None:
        """Begin a session with whoever is at the port that has just been opened."""
        self._before = self.counters()
        self.prompt.reopen(now_ms)
        self.session = self._make_session(self.session.pacing.token)

    def forget(self) -> None:
        """Begin a session with the same board: what is on its way to it is so still."""
        pacing = self.session.pacing
        self._before = self.counters()
        pacing.time_lost_total = 0  # those are counted by now
        self.session = self._make_session(0, pacing)

    @property
    def board(self) -> str:
        """What the board calls itself that greeted last, "" if none has."""
        hello = self.session.hello
        return "" if hello is None else hello.device

    @property
    def is_up(self) -> bool:
        """Whether a board is welcome."""
        return self.session.state == host_states.UP

    @property
    def is_over(self) -> bool:
        """Whether the boot that greeted last is over: the board speaks for an earlier one."""
        hello = self.session.hello
        return hello is not None and bool(hello.flags & message.HELLO_OVER)

    @property
    def received(self) -> tuple[int, int]:
        """How far the agent has been handed each stream."""
        return self._received[0], self._received[1]

    def is_committed(self, received: tuple[int, int]) -> bool:
        """Return whether all below these numbers is in the store."""
        return all(done >= end for done, end in zip(self._committed, received, strict=True))

    @property
    def uncommitted(self) -> int:
        """Readings and events that the agent was handed and has not committed."""
        return sum(self._received) - sum(self._committed)

    # -- from the board ------------------------------------------------------------

    def receive(self, data: bytes, now_ms: int) -> list[Any]:
        """Take bytes; return what of it is for others, in order.

        A list of Greeting, Refusal, TimedBatch, Loss and Report.
        """
        events = self.session.receive(data, now_ms)
        # Times first: an exchange in this chunk dates the readings in it better.
        for event in events:
            if isinstance(event, TimeExchange):
                self.dating.learn(event)
        found: list[Any] = []
        for kind, those in groupby(events, _kind):
            if kind is not None:
                found += self._take_batches(list(those))
                continue
            for event in those:
                self._take_other(event, found)
        if data:
            self.prompt.take(data, self.session.decoder.frames_total, now_ms)
        text = self.session.decoder.take_console()
        if text:
            self.console.take(text)
        return found

    def _take_batches(self, batches: list[Batch]) -> list[TimedBatch]:
        """Return those of one boot and stream, dated; none if that can't be done.

        Then the agent finds what follows misplaced.
        """
        last = batches[-1]
        self._received[last.stream] = last.first_seq + len(last.records) // RECORD_SIZE
        return self.dating.timed(batches)

    def _take_other(self, event: Any, found: list[Any]) -> None:
        if isinstance(event, Answer):
            self.requests.answered(event)
        elif not isinstance(event, TimeExchange):
            self._note(event)
            found.append(event)

    def _note(self, event: Any) -> None:
        if isinstance(event, Greeting):
            self._greeting = event
        elif isinstance(event, Loss):
            self._received[event.stream] = event.last_seq + 1
        elif isinstance(event, Report):
            self._take_report(event)

    def _take_report(self, report: Report) -> None:
        if report.kind == message.LOG:
            self.console.log("says", report.message.text, report.message.level)
        elif report.kind == message.VITALS:
            self.vitals = {
                name: value
                for name, value in zip(report.message._fields, report.message, strict=True)
                if name != "tag"
            }
            self._vitals_boot = report.boot

    # -- from the agent ------------------------------------------------------------

    def welcome(self, boot: int, next_seq: tuple[int, int], after_ms: int | None) -> Any:
        """Let the greeting board send from these numbers on; return its HELLO.

        What they are of was taken after `after_ms`, monotonic, if that is known. None if
        the board has gone by now.
        """
        if not self.session.welcome(boot, *next_seq):
            return None
        self.dating.welcomed(boot, after_ms, is_new=not any(next_seq))
        self._received, self._committed = list(next_seq), list(next_seq)
        assert self._greeting is not None
        self.channels = {
            row.name: place
            for place, row in enumerate(self._greeting.channels)
            if isinstance(row, Channel)
        }
        return self._greeting.hello

    def committed(self, boot: int, stream: int, next_seq: int) -> bool:
        """Acknowledge what is in the store; return False if the board has gone by now."""
        is_taken = self.session.committed(boot, stream, next_seq)
        if is_taken:
            self._committed[stream] = next_seq
        return is_taken

    def run_requests(self, *, is_open: bool) -> None:
        """Take over what is asked of the board, give up what is too late."""
        boot = self.session.hello.boot if is_open and self.is_up and not self.is_over else -1
        self.requests.run(boot, self.channels)

    # -- what it has counted ---------------------------------------------------------

    def who(self) -> dict[str, str | None]:
        """Return which board greeted last, its boot and firmware; None for each if none has."""
        hello = self.session.hello
        if hello is None:
            return {"device": None, "boot": None, "firmware": None}
        return {"device": hello.device, "boot": f"{hello.boot:08x}", "firmware": hello.firmware}

    def status(self) -> dict[str, Any]:
        """Return who is there and the counters as JSON types."""
        who = self.who()
        return {
            "device": who["device"],
            "boot": who["boot"],
            **said(self.session.hello),
            "on_trial": self.is_on_trial,
            **self.counters(),
            **self.seal_counters(),
            "time_disagreements_total": self.dating.disagreements_total,
            "undated_total": self.dating.undated_total,
            "console_lines_total": self.console.lines_total,
            "vitals": self.vitals,
        }

    @property
    def is_on_trial(self) -> bool:
        """Whether the board has yet to keep the firmware that it runs."""
        hello = self.session.hello
        if hello is None or not hello.flags & message.HELLO_TRIAL:
            return False
        # A trial that ends well ends within a boot, and VITALS alone say so.
        is_later = self._vitals_boot == hello.boot
        return not is_later or bool(self.vitals["flags"] & message.VITALS_TRIAL)

    @property
    def is_safe(self) -> bool:
        """Whether the board has started without its sensors, after crashes."""
        hello = self.session.hello
        return hello is not None and bool(hello.flags & message.HELLO_SAFE)

    def counters(self) -> dict[str, int]:
        """Return the counters of all sessions; they only ever rise."""
        current = self.session
        decoder = current.decoder
        counted = {
            "frames_total": decoder.frames_total,
            "frames_bad_total": decoder.bad_fcs_total + decoder.oversize_total,
            "bad_fcs_total": decoder.bad_fcs_total,
            "oversize_total": decoder.oversize_total,
            "messages_bad_total": current.bad_messages_total,
            "messages_unknown_total": current.unknown_messages_total,
            "messages_stale_total": current.stale_total,
            "console_bytes_total": decoder.console_bytes_total,
            "noise_bytes_total": decoder.noise_bytes_total,
            "duplicates_total": current.duplicates_total,
            "resend_requests_total": current.resend_requests_total,
            "window_exceeded_total": current.window_exceeded_total,
            "time_lost_total": current.pacing.time_lost_total,
            "sealed_total": current.sealed_total,
        }
        return {name: count + self._before.get(name, 0) for name, count in counted.items()}

    def seal_counters(self) -> dict[str, int]:
        """Return what an authenticated link has turned away; zeros if it isn't one."""
        challenge = self.challenge
        if challenge is None:
            names = ("unsealed_total", "forged_total", "replayed_total", "unasked_total")
            return dict.fromkeys(names, 0)
        return {
            "unsealed_total": challenge.seal.unsealed_total,
            "forged_total": challenge.seal.forged_total,
            "replayed_total": challenge.seal.replayed_total,
            "unasked_total": challenge.unasked_total,
        }

    # -- what may be wrong -----------------------------------------------------------

    def diagnosis(self, where: str, waited_ms: int) -> tuple[str, str]:
        """Return why there is no session on the port `where`, and what shows it, for the log.

        ("", "") if that isn't known, after `waited_ms`.
        """
        current = self.session
        decoder = current.decoder
        if current.hello is None:
            reason = self._why_no_hello(waited_ms)
            if not reason:
                return "", ""
            return f"no HELLO on {where}; {reason}", (
                f" ({decoder.frames_total} frames, {decoder.console_bytes_total} bytes of text,"
                f" {decoder.noise_bytes_total} of noise so far)"
            )
        if current.state == host_states.GREETED and current.pacing.time_lost_total:
            return (
                f"board {current.hello.device} on {where} is heard but does not answer;"
                " is the line towards it connected?"
            ), ""
        return "", ""

    def _why_no_hello(self, waited_ms: int) -> str:
        if self.challenge is None:
            if self.session.sealed_total:
                return "the board seals its messages: set link_key_file"
            return "does the board run the firmware?"
        before, now = self._turned_away, self.seal_counters()
        if now["forged_total"] > before["forged_total"]:
            return "the board has another key than link_key_file"
        if now["unasked_total"] - before["unasked_total"] >= DEAF_COUNT:
            if waited_ms < DEAF_MS:
                return ""
            return "the board does not hear the challenge; is the line towards it connected?"
        if now["unsealed_total"] > before["unsealed_total"]:
            return "the board does not seal its messages: set its link_key or drop link_key_file"
        return "does the board run the firmware?"


def said(hello: Any) -> dict[str, Any]:
    """Return what a board says of its firmware and its settings, nothing without a HELLO."""
    if hello is None:
        return {}
    known = range(len(RESET_CAUSES))
    return {
        "firmware": hello.firmware,
        "core": hello.core,
        "reset_cause": RESET_CAUSES[hello.reset_cause if hello.reset_cause in known else 0],
        "config_hash": f"{hello.config_hash:08x}",
        "policy_hash": f"{hello.policy_hash:08x}",
        "firmware_hash": f"{hello.firmware_hash:08x}",
        "boots": hello.boots,
        "safe_mode": bool(hello.flags & message.HELLO_SAFE),
        "earlier_boot": bool(hello.flags & message.HELLO_OVER),
    }


def _kind(event: Any) -> tuple[int, int] | None:
    """Return what batches have in common that are dated together, None of what is no batch."""
    return (event.boot, event.stream) if isinstance(event, Batch) else None
