"""The node's main loop: connects board, sampler, rings, session and port.

`App.step()` never blocks, so that a simulation can drive it; see `start` for
what a board runs.
"""

import gc

from pyv_edge_core import message
from pyv_edge_core._compat import TYPE_CHECKING, const
from pyv_edge_core.device_states import UP
from pyv_edge_core.session import elapsed_ms

from .uptime import Uptime

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .boots import Boots
    from .flash import Flash
    from .settings import Section, Settings
    from .trial import Trial

_FRAMES_PER_STEP_MAX = const(8)  # so that a long backlog can't delay the next sample
_BUSY_WAIT_MS = const(2)  # while a frame waits for room in the port
_IDLE_WAIT_MS = const(50)  # timers of the session are no finer
_SAMPLING_MS = const(100)  # then the link has its turn, also if sensors are slow
_COMPLAINT_MS = const(3000)
# Steps that fail in a row before the board resets.
_FAILURES_MAX = const(5)
# Numbers of a boot end at 2**32. Before that it stops sampling, delivers, and boots anew.
SEQ_MAX = const(0xFFFF0000)
_COUNT_MASK = const(0xFFFFFFFF)
# How long a prompt waits for somebody: a damaged byte can be a Ctrl-C, too.
PROMPT_IDLE_MS = const(300_000)
STOPPED = "stopped by Ctrl-C; boots again when the prompt is idle for 5 minutes"


class App:
    """A node: reads its sensors and delivers, until power goes."""

    def __init__(
        self,
        config: "Settings",
        board: "Any",
        port: "Any",
        flash: "Flash",
        trial: "Trial | None" = None,
        open_sensor: "Callable[[str, Section, Any], Any] | None" = None,
        boots: "Boots | None" = None,
    ) -> None:
        """Build the node. Raises SettingsError; touches no sensor yet.

        `flash` is where other settings are put that a host sends; `trial` is
        there if these have come so, or such ones have failed; with `boots` it
        is seen to what becomes of this boot.
        """
        from .parts import Parts

        parts = Parts(config, board, flash, open_sensor, boots)
        self.telemetry = parts.telemetry
        self.events = parts.events
        self.board = board
        self.port = port
        now_ms = board.ticks_ms()
        self.uptime = Uptime(now_ms)
        self.sampler = parts.sampler
        self.pipeline = parts.pipeline
        self.seal = parts.seal
        self.spill = parts.spill
        self.own_session = parts.session
        self.session = parts.first_session  # an earlier boot's as long as one has readings
        self.link_key = config.link_key
        # Told to sample nothing, or without any sensor because of crashes.
        self.is_safe = boots is not None and boots.is_safe
        self.boots = boots
        self.healthy_after_s = config.healthy_after_s
        self._watchdog_ms = config.watchdog_ms
        self._led = parts.led
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
        if self.boots is not None:
            self.boots.watch(self)
        idle_ms = _IDLE_WAIT_MS
        if self.telemetry.next_seq >= SEQ_MAX:
            if not self.own_session.in_flight:
                self.reset()
        elif not self.is_finished and not self.is_paused:
            idle_ms = min(idle_ms, self._sample(now_ms))
            if self._sample_for_ms and uptime.s * 1000 + uptime.ms >= self._sample_for_ms:
                self.is_finished = True
                self.report_vitals(now_ms)
        self.pipeline.tick(now_ms, uptime)
        if self._led is not None:
            self._led.show(2 if self.is_safe else self.session.state == UP, now_ms)
        received = self.port.read()
        # After reading: the answer to a TIME_REQUEST must not be older than the request.
        now_ms = self.board.ticks_ms()
        uptime.update(now_ms)
        if received:
            self.session.receive(received, now_ms)
            idle_ms = 0
        self._obey(now_ms)
        if self.spill is not None:
            self.spill.run(self)
        if elapsed_ms(now_ms, self._vitals_ms) >= self._vitals_interval_ms:
            self.report_vitals(now_ms)
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

    def report_vitals(self, now_ms: int) -> None:
        """Tell the host how the board does."""
        session = self.own_session
        if self.session is not session:
            return  # an earlier boot's: what becomes of this one is told in its own
        self._vitals_ms = now_ms
        gc.collect()  # else heap_free would count garbage as used
        values = (
            self.sampler.sampled_total,
            self.pipeline.denied_total,
            sum([outbound.ring.dropped_total for outbound in session.streams]),
            self.sampler.late_total,
            self.sampler.sensor_errors_total,
            session.resends_total,
            session.decoder.bad_fcs_total + session.bad_messages_total,
            self.errors_total,
            0 if self.seal is None else self.seal.refused_total,
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
            self._flags(),
            *[value & _COUNT_MASK for value in values],
            min(self.sampler.lag_ms_max, 0xFFFF),
            *((0, 0, 0, 0, 0) if self.spill is None else self.spill.counts()),
        )
        if session.report(payload):
            self.sampler.lag_ms_max = 0

    def _flags(self) -> int:
        flags = self.is_finished * message.VITALS_FINISHED + self.is_safe * message.VITALS_SAFE
        if self.boots is not None and self.boots.is_on_trial:
            flags |= message.VITALS_TRIAL
        return flags

    def identify(self, now_ms: int) -> None:
        """Show a person which board this is."""
        self.board.say("this is the board that was asked for")
        if self._led is not None:
            self._led.identify(now_ms)

    def reset(self) -> None:
        """Boot anew, on purpose."""
        self.save()
        if self.boots is not None:
            self.boots.end(self)
        self.board.reset()

    def save(self) -> None:
        """Put on the flash what no host has, if that is wanted: the memory is about to go."""
        if self.spill is not None:
            self.spill.save_all(self, self.board.feed)

    def log(self, level: int, text: str) -> bool:
        """Tell the host a line for its log; return False if it isn't there."""
        payload = message.pack(message.LOG, self.session.tag, level, message.fitting(text))
        return self.session.report(payload)

    def run_until_stopped(self) -> None:
        """Run until power goes, or a person presses Ctrl-C who then has the board alone.

        If it was nobody, so that the prompt is not used, the board boots anew.
        """
        try:
            self.run()
        except KeyboardInterrupt:
            self.board.ignore_ctrl_c()  # people press it twice, and programs do
            self.board.stop_watchdog()
            self.board.boot_when_idle(PROMPT_IDLE_MS)
            self.save()
            if self.boots is not None:
                self.boots.stop(self)
            self.board.say(STOPPED)
            self.board.hear_ctrl_c()

    def run(self) -> None:
        """Run until power goes or somebody presses Ctrl-C.

        What goes wrong in a step is shown and counted; the rings keep what they hold. The
        watchdog is fed behind each step, and by nobody else: one that hangs ends in a reset,
        and so do _FAILURES_MAX in a row that fail.
        """
        failures = 0
        if self._watchdog_ms:
            self.board.start_watchdog(self._watchdog_ms)
        else:
            self.board.stop_watchdog()
        while True:
            try:
                idle_ms = self.step()
            except Exception as error:  # top of a thread
                self._complain(error)
                failures += 1
                if failures >= _FAILURES_MAX:
                    self.board.reset()
                continue
            failures = 0
            self.board.feed()
            if idle_ms and not self.port.wait(idle_ms):
                self.board.sleep_ms(idle_ms)

    def _complain(self, error: BaseException) -> None:
        self.errors_total += 1
        self.board.show(error)
        self.log(message.LOG_ERROR, "a step failed: %s" % type(error).__name__)
        if self.boots is not None:
            self.boots.trouble().crashed(error, "at uptime %d s" % self.uptime.s)
        # Half of the watchdog's time is left for the next step: its failure alone is no reset.
        self.board.feed()
        self.board.sleep_ms(min(_COMPLAINT_MS, self._watchdog_ms // 2 or _COMPLAINT_MS))
