"""The whole node against a host's session, with a board and a port that are fakes."""

from check import raises
from fake_board import FakeBoard, FakeFlash, FakePort, make_settings, simulated
from pyv_edge_core import message
from pyv_edge_core.frame import FrameDecoder, encode_for_board
from pyv_edge_core.host_event import Batch, Greeting, Loss, Report
from pyv_edge_core.host_session import HostSession
from pyv_edge_node.app import SEQ_MAX, App
from pyv_edge_node.settings import SettingsError
from ring_model import unpack_slots

HEAP_KB_MIN = 192  # a node and its host in one heap


class _Rig:
    """A node, its host, and the clock of both."""

    def __init__(self, config, room=100000, ticks_ms=0):
        self.board = FakeBoard(ticks_ms)
        self.port = FakePort(room)
        self.app = App(config, self.board, self.port, FakeFlash())
        self.host = HostSession()
        self.hello = None
        self.count = 0  # readings that the host has
        self._batches = []
        self.losses = []
        self.reports = []
        self.is_host_reading = True

    def run(self, duration_ms, step_ms=10):
        for _ in range(duration_ms // step_ms):
            self.board.now_ms += step_ms
            idle_ms = self.app.step()
            assert 0 <= idle_ms <= 50
            if self.is_host_reading:
                self._run_host()

    def _run_host(self):
        now_ms = self.board.now_ms
        for event in self.host.receive(self.port.take(), now_ms):
            if isinstance(event, Greeting):
                self.hello = event
                self.host.welcome(event.hello.boot, self.count, 0)
            elif isinstance(event, Batch):
                assert event.first_seq == self.count
                self._batches.append(event)
                self.count += len(event.records) // 8
                self.host.committed(event.boot, event.stream, self.count)
            elif isinstance(event, Loss):
                self.losses.append(event)
            elif isinstance(event, Report):
                self.reports.append(event.message)
        self.port.incoming += self.host.transmit(now_ms)

    def readings(self):
        """Yield (seq, channel, quality, value, uptime in ms) of what the host has."""
        for batch in self._batches:
            yield from unpack_slots(batch.first_seq, batch.base_s, batch.base_ms, batch.records)


def test_readings_arrive():
    config = make_settings(simulated("a", 100, low=5, high=5), simulated("b", 200, low=7, high=7))
    rig = _Rig(config)
    rig.run(3000)
    readings = list(rig.readings())
    assert readings[:3] == [(0, 0, 0, 5, 10), (1, 1, 0, 7, 10), (2, 0, 0, 5, 100)]
    fast = [entry[4] for entry in readings if entry[1] == 0]
    slow = [entry[4] for entry in readings if entry[1] == 1]
    assert fast[1:] == list(range(100, fast[-1] + 1, 100)) and fast[-1] >= 2700
    assert slow[1:] == list(range(200, slow[-1] + 1, 200)) and slow[-1] >= 2600


def test_hello_tells_what_the_board_and_the_settings_say():
    config = make_settings(simulated("a"), device_id="", telemetry_capacity=64)
    config.config_hash = 0xFEDCBA98
    rig = _Rig(config)
    rig.run(100)
    hello = rig.hello.hello
    assert (hello.device, hello.board, hello.boot) == ("0123456789abcdef", "fake", 0xABCD1234)
    assert (hello.reset_cause, hello.config_hash, hello.capacity) == (3, 0xFEDCBA98, 64)
    assert [channel.name for channel in rig.hello.channels] == ["a"]


def test_bad_device_id_is_an_error_of_the_settings():
    text = str(raises(SettingsError, _Rig, make_settings(device_id="My Board")))
    assert "device_id" in text and "'My Board'" in text


def test_bad_device_id_names_its_file_as_every_other_mistake_does():
    text = str(raises(SettingsError, _Rig, make_settings(device_id="My Board")))
    assert "board.json" in text, text


def test_full_port_neither_blocks_nor_loses():
    rig = _Rig(make_settings(simulated("a", 20), telemetry_capacity=256), room=60)
    rig.run(500)
    rig.is_host_reading = False
    before = rig.app.telemetry.next_seq
    rig.run(2000)
    # The port is full to the byte; sampling goes on as if it were not.
    assert len(rig.port.written) == 60
    assert rig.app.telemetry.next_seq - before == 100
    rig.is_host_reading = True
    rig.run(4000)
    assert rig.app.telemetry.dropped_total == 0
    assert rig.count > 250
    assert rig.losses == []
    expected_seq = 0
    for seq, _, _, _, time_ms in rig.readings():
        # The first is due when the loop first runs, the others on the beat.
        assert (seq, time_ms) == (expected_seq, max(10, seq * 20)), expected_seq
        expected_seq += 1
    assert expected_seq == rig.count


def test_host_that_is_away_longer_than_the_ring_lasts_learns_what_is_missing():
    rig = _Rig(make_settings(simulated("a", 20), telemetry_capacity=32), room=60)
    rig.is_host_reading = False
    rig.run(3000)
    assert rig.app.telemetry.dropped_total >= 100
    rig.host = HostSession()
    losses = []
    for _ in range(200):
        rig.board.now_ms += 10
        rig.app.step()
        for event in rig.host.receive(rig.port.take(), rig.board.now_ms):
            if isinstance(event, Greeting):
                rig.host.welcome(event.hello.boot, 0, 0)
            elif isinstance(event, Loss):
                losses.append((event.cause, event.first_seq, event.last_seq))
        rig.port.incoming += rig.host.transmit(rig.board.now_ms)
    assert len(losses) == 1
    cause, first_seq, last_seq = losses[0]
    assert (cause, first_seq) == (message.GAP_OVERWRITTEN, 0)
    assert last_seq >= 99


def test_sampling_ends_after_its_time_and_says_so():
    rig = _Rig(make_settings(simulated("a", 100), sample_for_ms=2000))
    rig.run(1900)
    assert not rig.app.is_finished
    assert rig.reports == []
    rig.run(2000)
    assert rig.app.is_finished
    assert len(rig.reports) == 1
    vitals = rig.reports[0]
    assert vitals.flags == message.VITALS_FINISHED
    assert vitals.sampled_total == vitals.telemetry_next == rig.count == 21
    assert (vitals.dropped_total, vitals.late_total, vitals.heap_free) == (0, 0, 12345)
    assert rig.app.session.in_flight == 0


def test_end_of_sampling_is_said_again_with_the_next_vitals():
    config = make_settings(simulated("a", 100), sample_for_ms=300, vitals_interval_ms=1000)
    rig = _Rig(config)
    rig.is_host_reading = False  # so that the first report finds nobody
    rig.run(500)
    assert rig.app.is_finished
    assert rig.app.session.outgoing_dropped_total == 1
    rig.is_host_reading = True
    rig.run(2000)
    assert [vitals.flags for vitals in rig.reports][:1] == [message.VITALS_FINISHED]


def test_time_is_told_as_it_is_after_the_request_was_read():
    # An uptime from before would be a bound that doesn't hold: the request may have come since.
    rig = _Rig(make_settings())
    rig.run(500)
    read = rig.port.read

    def slow_read():
        rig.board.now_ms += 40
        return read()

    rig.port.take()
    rig.port.read = slow_read
    request = message.pack(message.TIME_REQUEST, rig.app.session.tag, 77)
    rig.port.incoming += encode_for_board(request)
    rig.app.step()
    parsed = [message.parse(payload) for payload in FrameDecoder().feed(rig.port.take())]
    (told,) = [one for kind, one in parsed if kind == message.TIME_RESPONSE and one.token == 77]
    assert told.uptime_s * 1000 + told.uptime_ms == rig.board.now_ms


def test_messages_that_a_board_could_not_use_are_in_its_vitals():
    rig = _Rig(make_settings(vitals_interval_ms=1000))
    rig.run(500)
    other = message.pack(message.ACK, rig.app.session.tag ^ 1, 0, 0, 0, 0)
    for raw in (other, other, bytes((1, 99, 0, 0))):
        rig.port.incoming += encode_for_board(raw)
    rig.run(1000)
    assert (rig.reports[-1].skipped_total, rig.reports[-1].refused_total) == (3, 0)


def test_messages_without_the_seal_that_they_must_have_are_in_the_vitals():
    config = make_settings()
    config.link_key = b"a key of 16 bytes or more"
    app = App(config, FakeBoard(), FakePort(), FakeFlash())
    for _ in range(2):
        plain = message.pack(message.ACK, app.session.tag, 0, 0, 0, 0)
        app.port.incoming += encode_for_board(plain)
        app.step()
    said = []
    app.session.report = said.append
    app.board.now_ms += 60_000
    app.step()
    assert message.parse(said[0])[1].refused_total == 2


def test_vitals_come_at_their_interval():
    rig = _Rig(make_settings(simulated("a", 100), vitals_interval_ms=500))
    rig.run(3000)
    times = [vitals.uptime_s * 1000 + vitals.uptime_ms for vitals in rig.reports]
    assert times == [500, 1000, 1500, 2000, 2500, 3000] or times == [500, 1000, 1500, 2000, 2500]
    assert [vitals.flags for vitals in rig.reports] == [0] * len(rig.reports)


def test_vitals_tell_the_longest_lag_once():
    rig = _Rig(make_settings(simulated("a", 100), vitals_interval_ms=1000))
    rig.run(500)
    rig.board.now_ms += 250
    rig.run(2300)
    lags = [vitals.loop_lag_ms_max for vitals in rig.reports]
    assert 150 <= lags[0] <= 260, lags
    assert max(lags[1:]) <= 10, lags
    assert rig.reports[0].late_total >= 1


def test_ticks_that_wrap_make_no_difference():
    rig = _Rig(make_settings(simulated("a", 100)), ticks_ms=2**30 - 1500)
    rig.run(5000)
    times = [entry[4] for entry in rig.readings()][1:]
    assert times == list(range(100, 100 * rig.count, 100))
    assert len(times) >= 45
    assert rig.app.sampler.late_total == 0


def test_board_boots_anew_before_its_numbers_end():
    rig = _Rig(make_settings(simulated("a", 100)))
    rig.run(1000)
    # Four thousand million readings take years: the ring is told that they have been.
    rig.app.telemetry.release(rig.app.telemetry.next_seq)
    rig.app.telemetry.next_seq = rig.app.telemetry.first_seq = SEQ_MAX
    rig.is_host_reading = False
    rig.run(50)
    assert rig.board.resets_total > 0
    assert rig.app.telemetry.next_seq == SEQ_MAX


class _Reset(BaseException):
    """The board boots anew."""


class _Watched(FakeBoard):
    """A board whose watchdog bites, and whose reset ends the program."""

    def __init__(self):
        super().__init__()
        self.fed_ms = 0
        self.slept_ms = []

    def start_watchdog(self, timeout_ms):
        super().start_watchdog(timeout_ms)
        self.feed()

    def feed(self):
        self.fed_ms = self.now_ms

    def sleep_ms(self, duration_ms):
        self.slept_ms.append(duration_ms)
        self.spend(duration_ms)

    def spend(self, duration_ms):
        self.now_ms += duration_ms
        if self.watchdog_ms and self.now_ms - self.fed_ms >= self.watchdog_ms:
            raise _Reset("watchdog")

    def reset(self):
        raise _Reset("reset")


_HANG = 2


class _Step:
    """Takes the place of a node's step: each takes a while, then fails or hangs if it is to."""

    def __init__(self, watchdog_ms, step_ms, *fails):
        self.board = _Watched()
        self.app = App(make_settings(watchdog_ms=watchdog_ms), self.board, FakePort(), FakeFlash())
        self.app.step = self
        self.app.port.wait = lambda duration_ms: False
        self.step_ms = step_ms
        self.fails = list(fails)
        self.steps_total = 0

    def __call__(self):
        self.steps_total += 1
        self.board.spend(self.step_ms)
        if not self.fails:
            raise KeyboardInterrupt()
        outcome = self.fails.pop(0)
        if outcome == _HANG:
            self.board.spend(60_000)
        if outcome:
            raise TypeError("can't convert float to int")
        return 50

    def run(self):
        """Return why the board boots anew, "" if it doesn't."""
        try:
            self.app.run()
        except KeyboardInterrupt:
            return ""
        except _Reset as reset:
            return str(reset)


def test_steps_that_fail_are_no_reset_until_there_are_five_in_a_row():
    for watchdog_ms in (0, 1000, 2999, 3000, 8000, 8388):
        step = _Step(watchdog_ms, 400, *[1, 1, 1, 1, 0] * 3)
        assert (step.run(), step.steps_total) == ("", 16), watchdog_ms
        assert step.app.errors_total == 12
        waits = [duration_ms for duration_ms in step.board.slept_ms if duration_ms != 50]
        wait_ms = min(3000, watchdog_ms // 2 or 3000)
        assert waits == [wait_ms] * 12
        step = _Step(watchdog_ms, 400, *[0] + [1] * 9)
        assert (step.run(), step.steps_total) == ("reset", 6), watchdog_ms


def test_step_that_hangs_ends_by_the_watchdog_whatever_was_before():
    for before in ((), (0,), (1,), (0, 1, 1, 1, 1)):
        assert _Step(1000, 100, *before, _HANG).run() == "watchdog", before
