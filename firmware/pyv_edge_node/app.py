"""The node's main loop: connects board, sampler, rings, session and port.

`App.step()` never blocks, so that a simulation can drive it; see `start` for
what a board runs.
"""

import gc

from pyv_edge_core import __version__ as core_version
from pyv_edge_core import message
from pyv_edge_core._compat import TYPE_CHECKING, const
from pyv_edge_core.device_session import DeviceSession
from pyv_edge_core.errors import FieldError
from pyv_edge_core.identity import Identity
from pyv_edge_core.reading import check_name
from pyv_edge_core.record_ring import RecordRing
from pyv_edge_core.session import elapsed_ms

from . import __version__, settings
from .pipeline import Pipeline
from .sampler import Sampler
from .sensors import open_sensor
from .uptime import Uptime

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pyv_edge_core.seal import Seal

    from .flash import Flash
    from .trial import Trial

_FRAMES_PER_STEP_MAX = const(8)  # so that a long backlog can't delay the next sample
_BUSY_WAIT_MS = const(2)  # while a frame waits for room in the port
_IDLE_WAIT_MS = const(50)  # timers of the session are no finer
_SAMPLING_MS = const(100)  # then the link has its turn, also if sensors are slow
_COMPLAINT_MS = const(3000)
# Numbers of a boot end at 2**32. Before that it stops sampling, delivers, and boots anew.
SEQ_MAX = const(0xFFFF0000)
_COUNT_MASK = const(0xFFFFFFFF)


def _identity(config: settings.Settings, board: "Any") -> Identity:
    """Return who the board is. Raises SettingsError."""
    device = config.device_id or board.unique_id()
    try:
        check_name("device_id", device)
    except FieldError as error:
        raise settings.SettingsError("%s.%s" % (config.path, error))
    identity = Identity(device, board.boot_id(), board.name, __version__, core_version)
    identity.reset_cause = board.reset_cause()
    identity.config_hash = config.config_hash
    if config.policy is not None:
        identity.policy_hash = config.policy.fingerprint
    return identity


def _seal(config: settings.Settings) -> "Seal | None":
    """Return what the board seals its messages with, None without a key."""
    if not config.link_key:
        return None
    from pyv_edge_core.seal import TO_HOST, Seal

    return Seal(config.link_key, TO_HOST)


class App:
    """A node: reads its sensors and delivers, until power goes."""

    def __init__(
        self,
        config: settings.Settings,
        board: "Any",
        port: "Any",
        flash: "Flash",
        trial: "Trial | None" = None,
        open_sensor: "Callable[[str, settings.Section], Any]" = open_sensor,
    ) -> None:
        """Build the node. Raises SettingsError; touches no sensor yet.

        `flash` is where other settings are put that a host sends; `trial` is
        there if these have come so, or such ones have failed.
        """
        gc.collect()
        self.telemetry = RecordRing(config.telemetry_capacity)  # first, while the heap is whole
        self.events = RecordRing(config.events_capacity)
        now_ms = board.ticks_ms()
        self.board = board
        self.port = port
        self.uptime = Uptime(now_ms)
        self.sampler = Sampler(config.sensors, now_ms, open_sensor)
        identity = _identity(config, board)
        self.pipeline = Pipeline(
            config, identity.device, self.sampler.channels, self.telemetry, self.events, now_ms
        )
        self._seal = _seal(config)
        self.session = DeviceSession(
            identity, self.pipeline.rows, self.telemetry, self.events, self._seal
        )
        self.link_key = config.link_key
        self.is_safe = False  # told to sample nothing
        self.is_ending = False  # about to reset
        self.trial = trial
        self._flash = flash
        self._path = config.path
        self._remote: Any = None  # made with the first request
        self._refusal: Any = None  # the host's latest that was shown
        self._sample_for_ms = config.sample_for_ms
        self._vitals_interval_ms = config.vitals_interval_ms
        self._vitals_ms = now_ms
        self.errors_total = 0  # steps that ended with an exception
        self.is_finished = False  # whether `sample_for_ms` is over

    def step(self) -> int:
        """Do what is due now; return the milliseconds that may pass until the next step."""
        now_ms = self.board.ticks_ms()
        uptime = self.uptime
        uptime.update(now_ms)
        if self.trial is not None:
            self.trial.watch(self)
        idle_ms = _IDLE_WAIT_MS
        if self.telemetry.next_seq >= SEQ_MAX:
            if not self.session.in_flight:
                self.board.reset()
        elif not self.is_finished and not self.is_paused:
            idle_ms = min(idle_ms, self._sample(now_ms))
            if self._sample_for_ms and uptime.s * 1000 + uptime.ms >= self._sample_for_ms:
                self.is_finished = True
                self._report_vitals(now_ms)
        self.pipeline.tick(now_ms, uptime)
        received = self.port.read()
        # After reading: the answer to a TIME_REQUEST must not be older than the request.
        now_ms = self.board.ticks_ms()
        uptime.update(now_ms)
        if received:
            self.session.receive(received, now_ms)
            idle_ms = 0
        self._obey(now_ms)
        if elapsed_ms(now_ms, self._vitals_ms) >= self._vitals_interval_ms:
            self._report_vitals(now_ms)
        self.port.flush()
        for _ in range(_FRAMES_PER_STEP_MAX):
            if not self.port.is_idle:
                return min(idle_ms, _BUSY_WAIT_MS)
            frame = self.session.transmit(now_ms, uptime.s, uptime.ms)
            if not frame:
                return idle_ms
            self.port.write(frame)
        return 0

    @property
    def is_paused(self) -> bool:
        """Whether nothing is to be sampled for now."""
        return self.is_safe or self.is_ending

    def _obey(self, now_ms: int) -> None:
        """Do what the host has asked for, and show why it doesn't want us."""
        session = self.session
        if session.request is not None:
            if self._remote is None:
                try:
                    from .remote import Remote

                    self._remote = Remote(self, self._flash, self._path)
                except MemoryError:
                    session.answer(message.RESULT_FAILED, 0, "not enough memory")
                    return
            self._remote.carry_out(session.request, now_ms)
        if self._remote is not None:
            self._remote.run(now_ms)
        refusal = session.refusal
        if refusal != self._refusal and self.port.is_idle:
            self._refusal = refusal
            if refusal is not None:
                self.board.say(
                    "the host refuses this board, its log says why: reason %d, versions %d to %d"
                    % (refusal.reason, refusal.version_min, refusal.version_max)
                )

    def _sample(self, start_ms: int) -> int:
        """Take what is due, for SAMPLING_MS at most; return the milliseconds until more is."""
        now_ms = start_ms
        for _ in range(len(self.sampler)):
            then_ms = now_ms
            idle_ms = self.sampler.run(then_ms, self.uptime, self.pipeline)
            now_ms = self.board.ticks_ms()
            self.uptime.update(now_ms)
            idle_ms = max(0, idle_ms - elapsed_ms(now_ms, then_ms))
            if idle_ms or elapsed_ms(now_ms, start_ms) >= _SAMPLING_MS:
                break
        return idle_ms

    def _report_vitals(self, now_ms: int) -> None:
        session = self.session
        self._vitals_ms = now_ms
        gc.collect()  # else heap_free would count garbage as used
        values = (
            self.sampler.sampled_total,
            self.pipeline.denied_total,
            self.telemetry.dropped_total + self.events.dropped_total,
            self.sampler.late_total,
            self.sampler.sensor_errors_total,
            session.resends_total,
            session.decoder.bad_fcs_total + session.bad_messages_total,
            self.errors_total,
            0 if self._seal is None else self._seal.refused_total,
            session.stale_total + session.unknown_messages_total,
            session.outgoing_dropped_total,
            self.telemetry.next_seq,
            session.in_flight,
            self.board.heap_free(),
        )
        payload = message.pack(
            message.VITALS,
            session.tag,
            self.uptime.s,
            self.uptime.ms,
            self.is_finished * message.VITALS_FINISHED + self.is_safe * message.VITALS_SAFE,
            *[value & _COUNT_MASK for value in values],
            min(self.sampler.lag_ms_max, 0xFFFF),
        )
        if session.report(payload):
            self.sampler.lag_ms_max = 0

    def log(self, level: int, text: str) -> bool:
        """Tell the host a line for its log; return False if it isn't there."""
        payload = message.pack(message.LOG, self.session.tag, level, message.fitting(text))
        return self.session.report(payload)

    def run(self) -> None:
        """Run until power goes or somebody presses Ctrl-C.

        What goes wrong in a step is shown and counted; the rings keep what they hold.
        """
        while True:
            try:
                idle_ms = self.step()
            except Exception as error:  # top of a thread
                self.errors_total += 1
                self.board.show(error)
                self.log(message.LOG_ERROR, "a step failed: %s" % type(error).__name__)
                self.board.sleep_ms(_COMPLAINT_MS)
                continue
            if idle_ms and not self.port.wait(idle_ms):
                self.board.sleep_ms(idle_ms)
