"""Boots: where readings come from, which of them is on which link, and where each resumes."""

import logging
import random
from collections.abc import Mapping
from typing import Any

from pyv_edge_core import message
from pyv_edge_core.host_event import Greeting
from pyv_edge_core.message_to_host import RESET_CAUSES

from . import __version__
from .admission import Admission, Pin
from .errors import SubmissionError
from .link import SerialLink
from .pipeline import Pipeline
from .series import Plan, Series, Source, board_alert, split_table
from .store import BootInfo, EndedBoot, OpenedBoot, SQLiteStore, WriteBatch
from .submission import CHANNELS_MAX, Sample
from .time_base import TimeBase

logger = logging.getLogger(__name__)


class Boots:
    """The boards' boots, and the agent's own for what it polls. For the thread that stores."""

    def __init__(
        self,
        store: SQLiteStore,
        pipeline: Pipeline,
        time_base: TimeBase,
        admission: Admission,
        rng: random.Random,
    ) -> None:
        """Begin without any."""
        self._store = store
        self._pipeline = pipeline
        self._time = time_base
        self._admission = admission
        self._rng = rng
        self._run_id = rng.getrandbits(32)  # boot id of what has no boots of its own
        self._sources: dict[SerialLink, Source] = {}
        self._owners: dict[int, tuple[SerialLink, Source]] = {}  # by boot_id
        self._fed: dict[str, Source] = {}
        self._sampled_before = 0  # by boots that have ended since the agent started
        self._sampled: dict[int, int] = {}  # by boot_id: what boards last said

    def on(self, link: SerialLink) -> Source | None:
        """Return the boot that was welcomed on a link, None if there is none."""
        return self._sources.get(link)

    def acknowledge(self, boot_id: int, stream: int, next_seq: int) -> None:
        """Let the board of a boot know what is durable, if it is on a link."""
        owner = self._owners.get(boot_id)
        if owner is not None:
            owner[0].committed(owner[1].boot, stream, next_seq)

    def start_over(self) -> None:
        """Forget all, and let every board greet anew.

        What is polled or submitted has another boot id from now on: the store may stand at
        numbers that sinks already have, and each stands for one reading only.
        """
        self._run_id = self._rng.getrandbits(32)
        self.open_anew()

    def open_anew(self) -> None:
        """Let everything be opened again, as policy and rules are by now.

        Nothing may be left uncommitted. What is polled or submitted goes on with its numbers.
        """
        for link in list(self._sources):
            link.restart()
        self._sources.clear()
        self._owners.clear()
        self._fed.clear()

    def drop(self, names: list[str]) -> None:
        """Forget devices that there are no more. Nothing may be left uncommitted."""
        for name in names:
            source = self._fed.pop(name, None)
            if source is not None:
                self._sampled_before += source.next_seq[0]
        for link in [link for link in self._sources if link.name in names]:
            self._end(link, None)

    def adopt_pins(self, found: Mapping[str, Pin]) -> None:
        """Let other boards than before be admitted."""
        self._admission.pins = found

    # -- what was sampled ----------------------------------------------------------

    def report(self, source: Source, vitals: Any, batch: WriteBatch) -> None:
        """Note what a board says of itself: what it has sampled, and what became of that."""
        self._sampled[source.boot_id] = vitals.sampled_total
        batch.vitals[source.boot_id] = (
            vitals.sampled_total,
            vitals.denied_total,
            vitals.dropped_total,
            vitals.late_total,
            vitals.sensor_errors_total,
            bool(vitals.flags & message.VITALS_FINISHED),
            self._time.utc_ms(),
        )

    @property
    def sampled_total(self) -> int:
        """What was polled, and what boards seen since the start say they have sampled.

        Any thread may ask.
        """
        fed = sum(source.next_seq[0] for source in list(self._fed.values()))
        arrived = {source.boot_id: source.next_seq[0] for _, source in list(self._owners.values())}
        said = dict(self._sampled)
        boots = arrived.keys() | said.keys()
        live = sum(max(arrived.get(boot, 0), said.get(boot, 0)) for boot in boots)
        return self._sampled_before + fed + live

    def measured(self, alias: str) -> list[int]:
        """Return the ids of a device's channels whose values are stored. Any thread may ask."""
        sources = [*list(self._fed.values()), *list(self._sources.values())]
        return [
            one.channel_id
            for source in sources
            if source.alias == alias
            for one in list(source.series)
            if one.plan.gate.has_values and not one.plan.is_aggregated
        ]

    # -- boards --------------------------------------------------------------------

    def welcome(self, link: SerialLink, greeting: Greeting, batch: WriteBatch) -> None:
        """Open a board's boot and tell it where to resume, at what is durable; or refuse it.

        All that was taken before must be committed. Raises StoreError, and nothing is done.
        """
        hello = greeting.hello
        channels, rows = split_table(greeting.channels)
        plans = [self._pipeline.plan(link.name, channel) for channel in channels]
        info = BootInfo(
            device=hello.device,
            alias=link.name,
            boot=hello.boot,
            board=hello.board,
            firmware=hello.firmware,
            reset_cause=RESET_CAUSES[hello.reset_cause]
            if hello.reset_cause < len(RESET_CAUSES)
            else "unknown",
            channels=tuple(plan.info for plan in plans),
            ended=EndedBoot(hello.last_boot, hello.last_sampled, hello.last_denied)
            if hello.last_boot not in (0, hello.boot)
            else None,
        )
        objection = self._admission.objection(link, hello)
        if objection is not None:
            self._end(link, None)
            link.refuse(hello.boot, objection.reason, objection.retry_s, objection.problem)
            return
        opened = self._store.open_boot(info, self._time.utc_ms(), batch.unset_id)
        series = self._open_series(plans, opened, batch)
        self._admission.taken(link, hello)
        self._pipeline.alerting.forget(link.name, opened.channel_ids, batch)
        source = Source(
            *(link.name, hello.boot, opened.boot_id, series, list(opened.next_seq)),
            newest_ms=opened.newest_ms,
        )
        for index, row in rows.items():
            alert = board_alert(row, series)
            if alert is not None:
                source.alerts[index] = alert
        before = self._sources.get(link)
        if info.ended is not None and before is not None and before.boot == info.ended.boot:
            said = self._sampled.get(before.boot_id, before.next_seq[0])
            self._sampled[before.boot_id] = max(said, info.ended.sampled_total)
        self._end(link, opened.boot_id)
        rival = self._owners.get(opened.boot_id)
        if rival is not None and rival[0] is not link:
            # The board has moved to this port, or is on both: only one may bring its numbers.
            logger.warning("board %s moved to %s from %s", hello.device, link.name, rival[0].name)
            del self._sources[rival[0]]
            self._admission.gone(rival[0])
            rival[0].restart()  # should the board come back to it, they must greet anew
        self._sources[link] = source
        self._owners[opened.boot_id] = (link, source)
        link.welcome(hello.boot, opened.next_seq, self._after_ms(opened))

    def _after_ms(self, opened: OpenedBoot) -> int | None:
        """Return when, monotonic, all that the store has of a device had been taken.

        None if that isn't known: after a boot of this computer, before its clock is right.
        """
        # UTC is what the clock said, which may have been set since: second best.
        if opened.floor_ms is not None:
            return opened.floor_ms
        if opened.floor_utc_ms is None or not self._time.is_synchronised:
            return None
        return opened.floor_utc_ms - self._time.segment.offset_ms

    def _end(self, link: SerialLink, boot_id: int | None) -> None:
        """Let the boot on a link be over, unless it is the one of `boot_id`, which goes on."""
        ended = self._sources.pop(link, None)
        if ended is not None and self._owners.get(ended.boot_id, (None,))[0] is link:
            del self._owners[ended.boot_id]
            if ended.boot_id != boot_id:
                self._sampled_before += self._sampled.pop(ended.boot_id, ended.next_seq[0])
        if boot_id is None:
            self._admission.gone(link)

    # -- what has no boots of its own: the agent polls it, or its adapter submits ----

    def polled(self, device: dict[str, Any], batch: WriteBatch) -> Source:
        """Return the boot of a device that has one channel; open it if need be.

        Raises StoreError.
        """
        key = ("", device["unit"])
        source = self._fed.get(device["name"])
        return source if source is not None else self._open_fed(device, [key], batch)

    def fed(self, device: Mapping[str, Any], samples: list[Sample], batch: WriteBatch) -> Source:
        """Return the boot of a device with the channels of `samples`; open what is new of it.

        Raises StoreError, and SubmissionError if there would be too many channels.
        """
        source = self._fed.get(device["name"])
        known = () if source is None else source.places
        new = list(dict.fromkeys(key for one in samples if (key := (one[0], one[3])) not in known))
        if source is not None and not new:
            return source
        if len(known) + len(new) > CHANNELS_MAX:
            raise SubmissionError(
                f"device {device['name']}: more than {CHANNELS_MAX} channels:"
                " let fewer topics or names through"
            )
        return self._open_fed(device, new, batch)

    def _open_fed(
        self, device: Mapping[str, Any], keys: list[tuple[str, str]], batch: WriteBatch
    ) -> Source:
        name = device["name"]
        plans = [self._pipeline.plan_fed(name, *key) for key in keys]
        infos = tuple(plan.info for plan in plans)
        info = BootInfo(name, name, self._run_id, "agent", __version__, "start", infos)
        opened = self._store.open_boot(info, self._time.utc_ms(), batch.unset_id)
        series = self._open_series(plans, opened, batch)
        source = self._fed.get(name)
        if source is None:
            source = Source(name, self._run_id, opened.boot_id, [], list(opened.next_seq))
            self._fed[name] = source
        for key, one in zip(keys, series, strict=True):
            source.places[key] = len(source.series)
            source.series.append(one)
        return source

    def note_vitals(self, source: Source, errors_total: int, batch: WriteBatch) -> None:
        """Note what is known of such a device beside its readings."""
        figures = (source.next_seq[0], 0, 0, 0, errors_total, False)
        batch.vitals[source.boot_id] = (*figures, self._time.utc_ms())

    def _open_series(
        self, plans: list[Plan], opened: OpenedBoot, batch: WriteBatch
    ) -> list[Series]:
        now_ms = self._time.rule_ms()
        return [
            self._pipeline.alerting.open(plan, channel_id, opened.boot_id, now_ms, batch)
            for plan, channel_id in zip(plans, opened.channel_ids, strict=True)
        ]
