"""Readings on the flash: what no host has acknowledged outlives a reset of the board.

Writes nothing while a host acknowledges, and no more pages in a day of uptime
than it may. What an earlier boot has left is delivered first, by a session that
speaks for that boot, while this one samples. A flash that fails is counted and
told once, and left alone for a while.

All of it is for the main loop, which calls `run` each pass: one page at most.
"""

from pyv_edge_core import message
from pyv_edge_core._compat import TYPE_CHECKING, const
from pyv_edge_core.device_states import UP
from pyv_edge_core.errors import MessageError
from pyv_edge_core.record_ring import BLOCK_RECORDS

from .over_boot import open_session, pack_table
from .page import PAGE_RECORDS
from .paged_ring import PagedRing
from .pages import Pages

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pyv_edge_core.device_session import DeviceSession
    from pyv_edge_core.identity import Identity
    from pyv_edge_core.record_ring import RecordRing

    from .app import App
    from .flash import Flash

REST_S = const(600)  # after the flash has failed
_DAY_S = const(86400)


class Spill:
    """What one board keeps on its flash."""

    def __init__(
        self,
        flash: "Flash",
        limits: "tuple[int, int, int] | None",
        identity: "Identity",
        rings: "tuple[RecordRing, RecordRing]",
    ) -> None:
        """Find what earlier boots have left; write by `limits`, nothing if they are None.

        They are settings.Settings.spill. `rings` are those in memory.
        """
        self.pages = Pages(flash)
        self.rings = (
            PagedRing(self.pages, identity.boot, 0, rings[0]),
            PagedRing(self.pages, identity.boot, 1, rings[1]),
        )
        self.refused_total = 0  # times that the limit of the day kept pages from being written
        self._size_kb, self._pages_per_day, self._after_s = limits or (0, 0, 0)
        self._identity = identity
        self._table = (0, b"")  # of this boot: made when it is first needed
        self._day = 0
        self._day_pages = 0
        self._rest_s = 0  # uptime until which the flash is left alone
        self._saved_s = -_DAY_S  # uptime of the latest page
        self._quiet_s = 0  # uptime when a host last acknowledged, or nothing was due
        self._acked = -1
        self._complaints: list[str] = []  # that no host has been told
        self._is_told: list[str] = []  # kinds of them
        self._is_blind = False  # whether nobody knows which pages there are: then none is touched
        try:
            self.pages.look(identity.boot)
        except OSError as error:
            self._is_blind = True
            self._fail(error, 0)

    def counts(self) -> "tuple[int, int, int, int, int]":
        """Return what VITALS say of it: pages there are, and what became of others."""
        pages = self.pages
        return (
            len(pages),
            pages.written_total,
            pages.dropped_total,
            pages.failed_total,
            self.refused_total,
        )

    def open_over(self, seal: "Any") -> "DeviceSession | None":
        """Return the session of the oldest boot that has left anything, None if none has."""
        pages = self.pages
        pages.rings = list(self.rings)
        while not self._is_blind:
            head = pages.oldest_boot(self._identity.boot)
            if head is None:
                return None
            try:
                table = pages.table(head.table)
                session = open_session(pages, head, table, self._identity, seal)
            except (OSError, MessageError) as error:
                # Without a table nobody could say what the readings mean.
                self._complain("table", "boot %08x can't be delivered: %s" % (head.boot, error))
                pages.give_up(head.boot)
                continue
            pages.rings += [outbound.ring for outbound in session.streams]
            return session
        return None

    # -- the main loop -----------------------------------------------------------------

    def run(self, app: "App") -> None:
        """Do what is due: remove what a host has, write what none takes, speak for who is next."""
        session = app.session
        if self.pages.problem:
            self._complain("read", self.pages.problem)
            self.pages.problem = ""
        if self._complaints and session.state == UP:
            if app.log(message.LOG_ERROR, self._complaints[0]):
                self._complaints.pop(0)
        uptime_s = app.uptime.s
        telemetry, events = session.streams
        acked = telemetry.acked_seq + events.acked_seq
        is_all = acked == telemetry.ring.next_seq + events.ring.next_seq
        if acked != self._acked or (is_all and not session.is_over):
            self._acked = acked
            self._quiet_s = uptime_s
        if self._is_blind or uptime_s < self._rest_s:
            return
        try:
            if self.pages.remove_released(telemetry.ring, events.ring):
                return
            if session.is_over and _is_done(session):
                self._quiet_s = uptime_s
                app.session = self.open_over(app.seal) or app.own_session
                if not app.session.is_over:
                    app.session.greet()
            elif self._is_due(uptime_s):
                self._save(app)
            elif not (self._pages_per_day or session.is_over or self._complaints):
                self.pages.remove_folder()  # nothing is to be kept any more
                app.spill = None
        except (OSError, MemoryError) as error:
            self._fail(error, uptime_s)

    def _is_due(self, uptime_s: int) -> bool:
        """Return whether a page is to be written now."""
        if not self._pages_per_day or uptime_s - self._quiet_s < self._after_s:
            return False
        is_any = is_due = False
        for ring in self.rings:
            enough = min(PAGE_RECORDS, _enough(ring))
            if self.pages.is_filling:
                enough = min(enough, self.pages.page.room)
            count = ring.next_seq - ring.unsaved_seq
            is_any = is_any or count > 0
            is_due = is_due or count >= max(1, enough)
        if not is_any:
            return False
        # What is less than a page is written too, as often as the limit allows for.
        interval_s = max(_DAY_S // self._pages_per_day, self._after_s)
        return (is_due or uptime_s - self._saved_s >= interval_s) and self._may_write(uptime_s)

    def _may_write(self, uptime_s: int) -> bool:
        """Return whether the limit of the day leaves another page."""
        day = uptime_s // _DAY_S
        if day != self._day:
            self._day = day
            self._day_pages = 0
        if self._day_pages == self._pages_per_day:  # once a day
            self.refused_total += 1
            self._complain("limit", "%d pages in a day: no more are written" % self._day_pages)
        elif self._day_pages < self._pages_per_day:
            return True
        self._day_pages = self._pages_per_day + 1
        return False

    def save_all(self, app: "App", feed: "Callable[[], None]") -> None:
        """Write all that no host has acknowledged: the board is about to reset."""
        try:
            while any([ring.next_seq > ring.unsaved_seq for ring in self.rings]):
                if self._is_blind or not self._pages_per_day or not self._may_write(app.uptime.s):
                    return
                self._save(app)
                feed()
        except (OSError, MemoryError) as error:
            self._fail(error, app.uptime.s)

    def _save(self, app: "App") -> None:
        """Write one page. Raises OSError."""
        pages = self.pages
        telemetry, events = self.rings
        if not self._table[1]:
            self._table = pack_table(self._identity, app.pipeline.rows)
        pages.begin(telemetry, events)
        if not pages.make_room(self._size_kb, *self._table):
            self._complain("room", "%d kB are full: the oldest page had to go" % self._size_kb)
        self._day_pages += 1
        identity, uptime = self._identity, app.uptime
        about = (
            identity.reset_cause,
            identity.boot,
            identity.boots,
            self._table[0],
            uptime.s,
            uptime.ms,
            telemetry.released_seq,
            events.released_seq,
            telemetry.dropped_total,
        )
        pages.save(telemetry, events, about)
        self._saved_s = uptime.s

    # -- what goes wrong ---------------------------------------------------------------

    def _fail(self, error: "OSError | MemoryError", uptime_s: int) -> None:
        self.pages.failed_total += 1
        self._rest_s = uptime_s + REST_S
        self._complain("flash", "%s; is the flash full?" % error)

    def _complain(self, kind: str, problem: str) -> None:
        """Have a host be told once of each kind of problem."""
        if kind not in self._is_told:
            self._is_told.append(kind)
            self._complaints.append("spill: " + problem)


def _enough(ring: PagedRing) -> int:
    """Return how many records are to be on a page before the memory can overwrite any of them."""
    return (ring.capacity - BLOCK_RECORDS) // 2


def _is_done(session: "DeviceSession") -> bool:
    """Return whether nothing is left to be said for a boot that is over."""
    if session.state != UP:
        return not session.in_flight  # its last page had to go
    for outbound in session.streams:
        if outbound.acked_seq < outbound.ring.next_seq:
            return False
    return session.is_idle
