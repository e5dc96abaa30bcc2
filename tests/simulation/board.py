"""A board of the simulation: the real node on ticks, sensors and a port that are made up."""

import json

from pyv_edge_core import message
from pyv_edge_node import start

from .asking import Obedience
from .broken import Broken
from .clock import Actor, Ticks
from .flash import Flash, PowerCut
from .plan import KEY_PATH, WRAP
from .pushing import History
from .spilled import Spilled, numbers
from .truth import BootTruth, Sensor, SensorCodeError, make_values
from .wire import BoardPort, Cable

LOOP_US = 1000  # what a pass of the loop takes at least
_BUSY_US = 20_000  # how long it waits at most for a port that is full
_IDLE_MS = 50  # App's longest wait: then nothing is due but timers
_UART_FIFO = 128  # bytes
_RESTART_MS_MAX = 3000  # what a board takes from a reset to its next boot


_COMPLAINT_US = 3_000_000
PATH = "device.json"  # of the settings


class ResetDone(BaseException):
    """The program has ended: the board was reset."""


class Board(Actor):
    """One device through all its boots. Has the members that `App` uses of a board, too."""

    name = "simulated"

    def __init__(self, world, rng, plan):
        super().__init__(world.queue)
        self.world = world
        self.plan = plan
        self.place = Cable(world, rng, plan, self)  # where it belongs
        self.cable = self.place  # where it is plugged in
        self.boots = []  # BootTruth, the current one last
        self.app = None  # None: it has no power
        self.truth = None
        self.is_known = False  # whether the store has had anything of it
        self.failing = 0  # faults that keep its sensors from measuring
        self.overflow_total = 0
        self.resends_total = 0
        shortest_ms = min(channel.interval_ms for channel in plan.channels)
        self._blocked_us = min(plan.lull_ms, shortest_ms) * 1000
        self._rng = rng
        self._table = make_values(rng)
        self.flash = Flash(**{KEY_PATH: plan.link_key.encode()})
        content = json.dumps(plan.settings()).encode()
        self.flash.write(PATH, content)
        self.history = History(world, plan, content)
        self.spilled = Spilled(world, self)
        self.size_kb = 0  # that pages may take, as the latest settings say that allow for any
        self.is_page_cut = False  # whether the flash is to fail because of `spilled`
        self._by_boot = {}  # truths
        self._over_boot = -1  # the earlier one that it speaks for
        self._over_acked = [0, 0]
        self._boot_id = 0
        self._booted_us = 0
        self._is_opening = False  # settings that no boot has had its truth made of
        self._ticks = None
        self._port = None
        self._stalled_until_us = 0
        self._spent_us = 0  # by the pass of the loop that is under way
        self._marks = []  # per ring: first number and dropped_total when last accounted for
        self._obedience = None
        self._is_sampling_over = False

    # -- power ---------------------------------------------------------------------

    def boot(self, _=None):
        """Begin a boot: new number, ticks from anywhere, often shortly before they wrap."""
        rng, plan = self._rng, self.plan
        start_ms = rng.choice((rng.randrange(WRAP), WRAP - rng.randrange(1, 300_000)))
        ppm = max(-500, min(500, plan.ppm + rng.randrange(-20, 21)))
        self._ticks = Ticks(self.queue.now_us, start_ms, ppm)
        self._boot_id = rng.getrandbits(32)
        self._booted_us = self.queue.now_us
        self._is_opening = True
        fifo_us = _UART_FIFO * 1_000_000 // plan.byte_rate
        self._port = BoardPort(self.cable, fifo_us)
        self._spent_us = 0
        try:
            begin = start.Start(
                self, self.flash, lambda _: self._port, open_sensor=self._open_sensor
            )
            self.app = begin.boot(PATH)
        except (ResetDone, PowerCut) as error:
            self._note_cut(error)
            self._port = None
            self._come_back_later(None)
            return
        self.boots.append(self.truth)
        self._by_boot[self.truth.boot] = self.truth
        self.app.is_finished = self._is_sampling_over
        if self.world.sabotage.spoil_app is not None:
            self.world.sabotage.spoil_app(self.app)
        self._obedience = Obedience(self, self.app)
        self._marks = self._rings_now()
        self.world.trace(plan.name, "boots as %08x" % self.truth.boot)
        self.wake_by(self.queue.now_us)

    def cut_power(self):
        """End the boot: what is in its memory is gone."""
        self._audit()
        self._settle()
        self.truth.is_over = True
        self.truth.is_saved = self.spilled.has(self.truth.boot)
        if self.truth.is_saved:
            self.world.struck("page_left")
        self.app = self._port = None
        self.rest()
        self.world.trace(
            self.plan.name,
            "loses its power at number %d" % self.truth.telemetry.count,
        )

    def lose_power(self):
        """End the boot, and begin another one in a while."""
        self.account()
        self._restart()

    def _open_sensor(self, kind, section, board):
        if self._is_opening:
            self._is_opening = False
            plan = self.history.boots(self.flash.read(PATH))
            self.truth = BootTruth(plan, self._boot_id)
            if plan.spill:
                self.size_kb = plan.spill["size_kb"]
        if kind != "simulation":
            raise section.fail("type", "%r is no sensor" % kind)
        index = section.integer("index", 0, 255)
        raises = section.integer("raises", 0, 1, 0)
        return Sensor(self, index, self._table, self._rng, raises)

    def end_sampling(self):
        """Sample no more. Events that time itself makes from now on are nobody's business."""
        self._is_sampling_over = True
        if self.app is not None:
            self._audit()
            self.app.is_finished = True

    def _audit(self):
        """See that the board has numbered what was measured and what rules made of it."""
        truth, app = self.truth, self.app
        known = truth.telemetry.count, truth.event_stream.count, truth.sampled, truth.denied
        numbered = (
            *(app.telemetry.next_seq, app.events.next_seq),
            *(app.sampler.sampled_total, app.pipeline.denied_total),
        )
        if numbered != known:
            raise Broken(
                "a board numbers what it measures: %s, boot %08x: readings, events, sampled and"
                " denied are %s, should be %s" % (self.plan.name, truth.boot, numbered, known)
            )

    def _settle(self):
        """Add the counters of a boot that ends to those of the device."""
        self.resends_total += self.app.session.resends_total
        self.overflow_total += self._port.overflow_total

    def settle(self):
        """Count the boot that is still running, at the end of the world."""
        if self.app is not None:
            self._settle()

    # -- cables --------------------------------------------------------------------

    @property
    def is_astray(self):
        """Whether it is on another board's cable."""
        return self.cable is not self.place

    def is_like(self, other):
        """Return whether the two could be on each other's cables, as far as a cable can tell."""
        plan = other.plan
        has_key = self.plan.link_key or plan.link_key
        return self.plan.is_usb == plan.is_usb and not has_key

    def swap(self, other):
        """Change cables with another board; what is on its way is lost."""
        for board, cable in ((self, other.cable), (other, self.cable)):
            cable.cut()
            cable.mend()
            board.cable = cable
            cable.board = board
            if board.app is not None:
                board.app.port.plug_into(cable)
                board.unblocked()
        self.world.trace("world", "%s and %s are swapped" % (self.plan.name, other.plan.name))

    # -- the loop ------------------------------------------------------------------

    def stall(self, until_us):
        """Let the program hang until then."""
        self.rest()
        self._stalled_until_us = until_us
        self.wake_by(until_us)

    def take(self, data):
        """Have bytes come in from the cable."""
        if self._port is not None:
            self._port.take(data)
            self.wake_by(max(self.queue.now_us, self._stalled_until_us))

    def unblocked(self):
        """Let it see that the host has opened its port."""
        if self.app is not None:
            self.wake_by(max(self.queue.now_us, self._stalled_until_us))

    def step(self):
        if self.app is None:
            return
        app, port, now_us = self.app, self._port, self.queue.now_us
        self._spent_us = 0
        port.now_us = now_us
        resends = app.session.resends_total
        try:
            idle_ms = app.step()
        except SensorCodeError as error:
            self._complain(error)
            return
        except (ResetDone, PowerCut) as error:
            self._note_cut(error)
            self.account()
            self._restart()
            return
        if app.session.resends_total != resends:
            self.world.trace(self.plan.name, "sends again")
        self.account()
        done_us = now_us + self._spent_us + LOOP_US
        self._stalled_until_us = done_us
        if not idle_ms:
            self.wake_by(done_us)
        elif self.cable.is_blocked:
            # The node looks every 2 ms; nothing comes of it until `unblocked`, or a measurement.
            self.wake_by(max(done_us, now_us + self._blocked_us))
        elif not port.is_idle:
            self.wake_by(min(max(done_us, port.idle_at_us), done_us + _BUSY_US))
        else:
            wait_ms = idle_ms if idle_ms < _IDLE_MS else self.plan.lull_ms
            self.wake_by(max(done_us, now_us + self._ticks.true_us(wait_ms)))

    def _complain(self, error):
        """Do what `App.run` does with what a step raises."""
        self.history.lasts(self.queue.now_us - self._booted_us)
        self.app.errors_total += 1
        self.app.log(message.LOG_ERROR, "a step failed: %s" % type(error).__name__)
        self.account()
        self.stall(self.queue.now_us + _COMPLAINT_US)

    def _note_cut(self, error):
        if isinstance(error, PowerCut):
            self.world.struck("page_cut" if self.is_page_cut else "flash_cut")
            self.is_page_cut = False
            self.world.trace(self.plan.name, "loses its power as it writes")

    def _restart(self):
        """Be without a program for a while, and boot."""
        cable = self.cable if self.plan.is_usb else None
        self.cut_power()
        if cable is not None:
            cable.cut()  # its USB goes with it
        self._come_back_later(cable)

    def _come_back_later(self, cable):
        """Boot in a while, and be heard again on `cable` if it is not None."""

        def come_back(_):
            if cable is not None:
                cable.mend()
            self.boot()

        delay_us = self._rng.randrange(300, _RESTART_MS_MAX) * 1000
        self.queue.at(self.queue.now_us + delay_us, come_back)

    def _rings_now(self):
        rings = self.app.telemetry, self.app.events
        return [(ring, ring.first_seq, ring.dropped_total) for ring in rings]

    def account(self):
        """Note what has left the rings since this was last called."""
        self._account_over()
        for stream, (ring, first_seq, dropped) in enumerate(self._marks):
            if ring.first_seq != first_seq and self.app.spill is not None:
                self._account_paged(stream, ring, first_seq)
                self._marks[stream] = ring, ring.first_seq, ring.dropped_total
            elif ring.first_seq != first_seq:
                self._account(stream, ring, first_seq, ring.dropped_total - dropped)
                self._marks[stream] = ring, ring.first_seq, ring.dropped_total

    def _account(self, stream, ring, first_seq, dropped):
        """Note what a pass has dropped from the front of a ring, and what it has released.

        Sampling comes before receiving in a pass, and dropping before releasing.
        """
        truth = self.truth.event_stream if stream else self.truth.telemetry
        if dropped:
            truth.overwrite(first_seq, dropped)
            self.world.struck("full_ring")
            self.world.trace(
                self.plan.name,
                "ring %d overwrites %d..%d" % (stream, first_seq, first_seq + dropped - 1),
            )
        if ring.first_seq > first_seq + dropped:
            self.world.acknowledged(self, stream, ring.first_seq)
            self.is_known = True

    def _account_paged(self, stream, ring, first_seq):
        """Note what a pass has overwritten in a ring that pages may have, and released."""
        released = self.app.own_session.streams[stream].released_seq
        if released > first_seq:
            self.world.acknowledged(self, stream, released)
            self.is_known = True
        truth = self.truth.event_stream if stream else self.truth.telemetry
        gone = range(max(first_seq, released), ring.first_seq)
        if gone:
            saved = numbers(self.spilled.pages(), self.truth.boot, stream)
            lost = [seq for seq in gone if seq not in saved]
            truth.lose(lost)
            if lost:
                self.world.struck("full_ring")

    def _account_over(self):
        """See that what was acknowledged of a boot that is over is in the store."""
        session = self.app.session
        boot = session.identity.boot
        if boot == self.truth.boot:
            return
        if self._over_boot != boot:
            self._over_boot = boot
            self._over_acked = [0, 0]
            self.world.struck("boot_over")
        for outbound in session.streams:
            if outbound.acked_seq > self._over_acked[outbound.stream]:
                self._over_acked[outbound.stream] = outbound.acked_seq
                self.world.acknowledged(self, outbound.stream, outbound.acked_seq, boot)

    def lose(self, boot, stream, seqs):
        """Note that a page had to go: what isn't in memory is lost."""
        truth = self._by_boot.get(boot)
        if truth is self.truth and self.app is not None:
            ring = self.app.events if stream else self.app.telemetry
            seqs = [seq for seq in seqs if seq < ring.first_seq]
        if truth is not None:
            (truth.event_stream if stream else truth.telemetry).lose(seqs)

    def feed(self):
        pass

    @property
    def held(self):
        """How many readings and events wait in its rings."""
        return 0 if self.app is None else self.app.own_session.in_flight

    @property
    def has_taken_back(self):
        """Whether settings on trial have just been taken back."""
        return self.flash.has(PATH + ".reason")

    @property
    def program_us(self):
        """The true time at this point of the program."""
        return self.queue.now_us + self._spent_us

    # -- what App wants of a board -------------------------------------------------

    def spend(self, duration_us):
        """Let a measurement take that long; return the true time at which it begins."""
        self._obedience.measures()
        now_us = self.queue.now_us + self._spent_us
        self._spent_us += duration_us
        self._port.now_us = now_us + duration_us
        return now_us

    def unique_id(self):
        return self.plan.name

    def boot_id(self):
        return self._boot_id

    def reset_cause(self):
        return 1

    def ticks_ms(self):
        return self._ticks.at(self.queue.now_us + self._spent_us)

    def heap_free(self):
        return 100_000

    def sleep_ms(self, duration_ms):
        raise AssertionError("a step never sleeps")

    def say(self, text):
        self.world.trace(self.plan.name, "says: " + text)
        if text == "this is the board that was asked for":
            self._obedience.identify()

    def led(self, name):
        return None

    def show(self, error):
        raise AssertionError("a step never fails")

    def reset(self):
        """End the program, for good. Raises ResetDone."""
        if self.app is not None:  # else it has not got so far
            self.account()
            self._obedience.reset()
        self.world.trace(self.plan.name, "resets")
        raise ResetDone
