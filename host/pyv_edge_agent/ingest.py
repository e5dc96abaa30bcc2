"""The agent's thread of readings: inbox to pipeline to store to acknowledgement.

In that order and no other: what a board is told is committed, is. A commit that
fails leaves everything in memory and is tried again; meanwhile nothing is
acknowledged, so boards keep what they send and their rings absorb it.

What is committed together is dated by one time segment: when the clock has been
set, what there is is committed first.

`put` may be called by any thread; the rest belongs to one.
"""

import logging
import random
import threading
from collections.abc import Container, Mapping, Sequence
from typing import Any

from pyv_edge_core import message
from pyv_edge_core.host_event import Greeting, Loss, Report
from pyv_edge_core.privacy import PrivacyPolicy
from pyv_edge_core.reading import QUALITY_BAD, Channel
from pyv_edge_core.rule import Rule

from .admission import Admission, Pin
from .boots import Boots
from .clock import Clock
from .dating import TimedBatch
from .errors import MisplacedError, StoreError
from .heartbeat import Heartbeat
from .histogram import Histogram
from .housekeeping import Housekeeping
from .inbox import Inbox
from .intake import Intake
from .latest import Latest
from .link import SerialLink
from .loss_log import LossLog
from .mending import Mending
from .pipeline import Pipeline
from .store import Limits, SQLiteStore, TimeSegments, Upkeep, WriteBatch
from .submission import Feed, Remembered, Submission
from .time_base import TimeBase
from .types import SensorReading

logger = logging.getLogger(__name__)

COMMIT_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # bounds of buckets
UNCOMMITTED_MAX = 20_000  # readings in memory while commits fail; then nothing more is taken


class Ingest:
    """Stores what links and polls bring, and acknowledges it."""

    def __init__(
        self,
        store: SQLiteStore,
        pipeline: Pipeline,
        clock: Clock,
        rng: random.Random,
        wake: threading.Event,
        *,
        commit_max: int,
        pins: Mapping[str, Pin] | None = None,
        time_source: str = "ntp",
        upkeep: Upkeep | None = None,
        heartbeat: Heartbeat | None = None,
    ) -> None:
        """Build the stage on an open store; see TimeBase for `time_source`. Raises StoreError.

        Without `upkeep`, the store is only written to; without `heartbeat`, nobody minds
        how long that takes.
        """
        self.discarded_total = 0  # readings given up because the store stood elsewhere
        self.last_commit_ms: int | None = None  # monotonic
        self.commit_seconds = Histogram(COMMIT_S)
        self.latest = Latest(store.generation)
        self.stored_ms: dict[str, int] = {}  # by device, monotonic: when it last had some stored
        self.pipeline = pipeline
        self._store = store
        self._upkeep = upkeep
        self._heartbeat = heartbeat or Heartbeat("ingest", clock)
        self._clock = clock
        run_id = rng.getrandbits(32)
        self.time = TimeBase(TimeSegments(store), clock, f"{run_id:08x}", source=time_source)
        self._mending = Mending(store, upkeep, self.time, clock, self._heartbeat)
        self._housekeeping = Housekeeping(
            store, upkeep, self.time, self._mending, self._heartbeat, wake
        )
        self._inbox = Inbox(wake, commit_max)
        self._loss_log = LossLog(clock)
        self._is_at_work = False  # still so at the next beginning: the last one came to no end
        self._taking: tuple[Any, Any] | None = None  # the event that is being taken
        self._batch = self._new_batch()
        self._brought: set[str] = set()  # the devices of what is in it
        admission = Admission(store, clock, pins or {})
        self.boots = Boots(store, pipeline, self.time, admission, rng)
        self._intake = Intake(store, pipeline, self.boots, self.time)

    # -- from other threads --------------------------------------------------------

    def put(self, origin: SerialLink | Feed, event: Any) -> bool:
        """Take what a link has learned or an adapter submits; return False if there is no room."""
        return self._inbox.put(origin, event)

    @property
    def problem(self) -> str:
        """Why the last commit failed; "" if it did not."""
        return self._mending.problem

    @property
    def since_ms(self) -> int:
        """When commits began to fail, or to succeed again: monotonic."""
        return self._mending.since_ms

    @property
    def commit_failures_total(self) -> int:
        """How often something could not be stored."""
        return self._mending.failures_total

    def bad_channels(self, device: str) -> int:
        """Return of how many channels of a device the newest reading is bad."""
        return self.latest.bad_count(self.boots.measured(device))

    def store_status(self) -> dict[str, Any]:
        """Return how the store does. Raises StoreError."""
        return self._upkeep.status() if self._upkeep is not None else {"state": "unattended"}

    def resume(self, boards: Container[str], others: Container[str] = ()) -> None:
        """Watch what devices had, given by their names, also if they don't come back.

        Call it before anything else. Raises StoreError.
        """
        for watched in self._store.watched_channels():
            info = watched.info
            if watched.alias in boards:
                channel = Channel(info.name, info.unit, info.exponent)
                plan = self.pipeline.plan(watched.alias, channel)
            elif watched.alias in others:
                plan = self.pipeline.plan_fed(watched.alias, info.name, info.unit)
            else:
                continue
            if plan.info == info:  # else the policy makes another channel of it by now
                self.pipeline.alerting.open(
                    plan, watched.channel_id, watched.boot_id, self.time.rule_ms(), self._batch
                )

    # -- the agent's thread --------------------------------------------------------

    def due_ms(self, last_ms: int, interval_ms: int) -> int:
        """Return when `run` is due on the monotonic clock, after a last time at `last_ms`."""
        return (
            last_ms if self._housekeeping.is_behind else self._inbox.due_ms(last_ms, interval_ms)
        )

    @property
    def has_room(self) -> bool:
        """Whether more readings may be taken before a commit succeeds."""
        return len(self._batch) < UNCOMMITTED_MAX

    def add_polled(self, device: dict[str, Any], reading: SensorReading, quality: int) -> None:
        """Add a reading that the agent polled, dated by `time.utc_ms`.

        Raises StoreError if its device can't be opened.
        """
        self._give_up_half_done()
        source = self.boots.polled(device, self._batch)
        self._is_at_work = True
        self.pipeline.add_reading(source, reading, quality, self.time.rule_ms(), self._batch)
        self.boots.note_vitals(source, 0, self._batch)
        if quality != QUALITY_BAD:
            self._brought.add(device["name"])
        self._is_at_work = False

    def settle_all(self) -> None:
        """Commit all there is and how all alerts stand, before something else is to hold.

        Raises StoreError if that fails: everything stays as it is.
        """
        self.run()
        self.pipeline.alerting.save(self._batch)
        if not self.commit():
            raise StoreError(f"can't store now: {self.problem}")

    def adopt(
        self,
        privacy: PrivacyPolicy,
        rules: Sequence[Rule],
        boards: Container[str],
        others: Container[str],
    ) -> None:
        """Go on by another policy and other rules, for the devices of these names.

        Call `settle_all` before. Alerts of rules that are as they were go on where they stood.
        """
        self.boots.open_anew()
        successor = self.pipeline.alerting.successor(rules)
        self.pipeline.adopt(privacy, successor)
        self.resume(boards, others)

    def drop(self, names: list[str]) -> None:
        """Forget devices that there are no more, and their alerts. Call `settle_all` before."""
        self.boots.drop(names)
        for name in names:
            self.stored_ms.pop(name, None)
            self.pipeline.alerting.forget(name, (), self._batch)

    def limit_commits(self, commit_max: int) -> None:
        """Let a commit be due when so many readings wait for it."""
        self._inbox.commit_max = commit_max

    def limit_store(self, limits: Limits) -> None:
        """Let the store take so much room."""
        if self._upkeep is not None:
            self._upkeep.adopt(limits)

    def run(self) -> None:
        """Take everything that has come in, commit it and acknowledge it."""
        self._give_up_half_done()
        self._is_at_work = True
        self._run()
        self._is_at_work = False

    def _give_up_half_done(self) -> None:
        """Drop what is in memory if a fault of this program has left it half done."""
        if not self._is_at_work:
            return
        self._is_at_work = False
        if self._taking is not None:
            origin, event = self._taking
            self._inbox.taken(origin, event)
            if isinstance(event, Submission):
                self._intake.refuse(event, "it could not be taken, see the log")
            self._taking = None
        fault = StoreError("a fault of this program, see the log")
        self._mending.failed(fault)
        self._start_over(fault)

    def _run(self) -> None:
        self._inbox.begin()
        anew = self._mending.mend()
        if self._store.is_open and self.latest.generation != self._store.generation:
            self.latest.adopt(self._store.generation, is_same=anew is None)
        if anew is not None:
            self._start_over(anew)
        count = self._follow_clock()
        while count and self.has_room:
            count -= 1
            origin, event = self._taking = self._inbox.take()
            is_taken = self._take(origin, event)
            self._taking = None
            if not is_taken:
                self._inbox.put_back(origin, event)
                return
            self._inbox.taken(origin, event)
            if len(self._batch) >= self._inbox.commit_max and not self.commit():
                return
        self.pipeline.alerting.tick(self.time.rule_ms(), self._batch)
        if self.commit():
            self._housekeeping.step(is_urgent=self._inbox.is_urgent)

    def end(self) -> None:
        """Commit what there is and how all alerts stand; settle what is not stored."""
        self._inbox.close()
        try:
            self.run()
            self.pipeline.alerting.save(self._batch)
            if self.commit():
                self._housekeeping.close()
        finally:
            self._intake.given_up()
            for _, event in self._inbox.left():
                if isinstance(event, Submission):
                    self._intake.refuse(event, "the agent stops")
            self._intake.tell()

    def _new_batch(self) -> WriteBatch:
        return WriteBatch(self.time.segment, self.time.error_ms)

    def _follow_clock(self) -> int:
        """Adopt another time segment if one is due and all that the last one dated is stored.

        Returns how many events may be dated by the segment in force: those that had come
        before the clock was looked at; none while the one that is due can't be stored.
        """
        count = len(self._inbox)
        if self.time.look():
            if not self.commit():
                return 0
            count = len(self._inbox)
            try:
                self.time.adopt()
            except StoreError as error:
                self._mending.failed(error)
                return 0
            self._mending.succeeded()
            self._batch = self._new_batch()
        self._batch.clock_error_ms = self.time.error_ms
        return count

    def commit(self) -> bool:
        """Store what has been taken, then acknowledge it; return False if that failed."""
        batch = self._batch
        if batch.is_empty:
            self._settle()
            return True
        self._heartbeat.beat()
        began_ms = self._clock.monotonic_ms()
        try:
            if self._upkeep is not None:
                self._upkeep.refuse(batch)
            self._store.commit(batch)
        except MisplacedError as error:
            self._start_over(error)
            return False
        except StoreError as error:
            self._mending.failed(error)
            return False
        self._mending.succeeded()
        self.last_commit_ms = self._clock.monotonic_ms()
        self.commit_seconds.add((self.last_commit_ms - began_ms) / 1000)
        self.stored_ms.update(dict.fromkeys(self._brought, self.last_commit_ms))
        self._brought.clear()
        self.latest.note(batch, self.time.utc_ms())
        self._batch = self._new_batch()
        for (boot_id, stream), progress in batch.progress.items():
            self.boots.acknowledge(boot_id, stream, progress.next_seq)
        self._settle()
        return True

    def _settle(self) -> None:
        self._intake.committed()
        self._intake.tell()

    def _start_over(self, error: StoreError) -> None:
        """Drop what is in memory and let everybody resume where the store stands.

        After a commit that was durable and yet reported as failed, or if the file is
        another one by now. Boards send again what is missing; of what was polled, that
        is lost and counted.
        """
        self.discarded_total += len(self._batch.readings)
        logger.error("%s; %d readings in memory are given up", error, len(self._batch.readings))
        self._batch = self._new_batch()
        self._brought.clear()
        self._intake.given_up()
        self.boots.start_over()
        self.pipeline.alerting.start_over()

    def _take(self, origin: Any, event: Any) -> bool:
        """Take one event; return False if it has to wait for the store."""
        if isinstance(event, Submission):
            return self._take_submission(origin, event)
        if isinstance(event, Remembered):
            self._intake.forget_all_but(origin, event.keys, self._batch)
            return True
        link: SerialLink = origin
        if isinstance(event, Greeting):
            return self._welcome(link, event)
        source = self.boots.on(link)
        if source is None or source.boot != event.boot:
            self.pipeline.misplaced_total += 1
            link.restart()
        elif isinstance(event, TimedBatch):
            if not self.pipeline.add_batch(source, event, self.time.rule_ms(), self._batch):
                link.restart()
            else:
                self._brought.add(source.alias)
        elif isinstance(event, Loss):
            if self.pipeline.add_loss(source, event, self.time.utc_ms(), self._batch):
                self._loss_log.add(source.alias, event)
            else:
                link.restart()
        elif isinstance(event, Report) and event.kind == message.VITALS:  # a LOG is logged by now
            self.boots.report(source, event.message, self._batch)
        return True

    def _take_submission(self, feed: Feed, submission: Submission) -> bool:
        try:
            self._intake.take(feed, submission, self._batch)
        except StoreError as error:
            self._mending.failed(error)
            return False
        if any(one.quality != QUALITY_BAD for one in submission.samples):
            self._brought.add(feed.name)  # else a poll may have failed
        return True

    def _welcome(self, link: SerialLink, greeting: Greeting) -> bool:
        if not self.commit():
            return False
        try:
            self.boots.welcome(link, greeting, self._batch)
        except StoreError as error:
            self._mending.failed(error)
            return False
        return True
