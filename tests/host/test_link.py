"""SerialLink over a fake port, with the core's own board at the far end and a fake clock."""

import threading
from random import Random
from struct import unpack_from

import pytest
from host.fakes import FakeBoard, FakeClock, FakePort, FixedRandom
from host.waiting import wait_for
from pyv_edge_agent import link as link_module
from pyv_edge_agent.link import CLOSED, HANDSHAKING, SILENT, UP, SerialLink, TimedBatch
from pyv_edge_agent.timeline import DRIFT_PPM
from pyv_edge_core import message, session
from pyv_edge_core.frame import encode
from pyv_edge_core.host_session import Greeting, Loss, Report
from pyv_edge_core.record_ring import RECORD_SIZE


class Rig:
    """A link, its board, and an agent that answers as Ingest would."""

    def __init__(self, share=1.0, **board):
        self.clock = FakeClock()
        self.port = FakePort()
        self.rng = FixedRandom(share)
        self.events = []
        self.takes = True  # whether the inbox has room
        self.answers = True  # whether greetings are welcomed
        self.link = SerialLink("porch", self.port, self.clock, self.rng, self.inbox)
        self.board = FakeBoard(self.clock, **board)

    def inbox(self, link, event):
        assert link is self.link
        if not self.takes:
            return False
        self.events.append(event)
        if isinstance(event, Greeting) and self.answers:
            link.welcome(event.hello.boot, (0, 0))
        return True

    def of(self, kind):
        return [event for event in self.events if isinstance(event, kind)]

    def pump(self, rounds=10, ms=5, latency_ms=0):
        for _ in range(rounds):
            self.link.step()
            self.clock.advance(latency_ms)
            self.board.exchange(self.port)
            self.clock.advance(ms)

    def up(self):
        self.pump()
        assert self.link.state == UP
        return self


# -- the ordinary course -----------------------------------------------------------


def test_new_link_has_opened_nothing():
    rig = Rig()
    assert rig.port.open_attempts == 0
    assert rig.link.state == CLOSED


def test_handshake_brings_the_link_up(log):
    rig = Rig()
    rig.link.step()
    assert rig.port.is_open
    assert rig.link.state == HANDSHAKING
    rig.up()
    (greeting,) = rig.of(Greeting)
    assert greeting.hello.boot == rig.board.boot
    assert [channel.name for channel in greeting.channels] == ["temp"]
    assert log.having("board board-1 is up after 0 failed attempts")
    assert log.warnings() == []


def test_board_is_not_up_before_the_agent_welcomes_it():
    rig = Rig()
    rig.answers = False
    rig.board.sample(1)
    rig.pump(300)
    assert rig.link.state == HANDSHAKING
    assert rig.of(TimedBatch) == []
    rig.link.welcome(rig.board.boot, (0, 0))
    rig.pump(300)
    assert rig.link.state == UP
    assert len(rig.of(TimedBatch)) == 1


def test_readings_arrive_once_and_in_order():
    rig = Rig().up()
    for value in range(100):
        rig.board.sample(value)
        rig.pump(2)
    rig.pump(100)
    numbers = []
    for batch in rig.of(TimedBatch):
        count = len(batch.records) // 8
        numbers += range(batch.first_seq, batch.first_seq + count)
        assert batch.boot == rig.board.boot
    assert numbers == list(range(100))
    assert rig.board.session.in_flight == 100  # nothing was committed


def test_commits_free_the_boards_ring():
    rig = Rig().up()
    rig.board.sample(*range(20))
    rig.pump(100)
    rig.link.committed(rig.board.boot, 0, 20)
    rig.pump(5)
    assert rig.board.session.in_flight == 0


def test_loss_and_reports_are_handed_on():
    rig = Rig().up()
    rig.board.sample(*range(400))  # more than its ring holds
    rig.board.session.report(message.pack(message.LOG, rig.board.session.tag, 1, "hello"))
    rig.pump(100)
    loss = rig.of(Loss)[0]
    assert (loss.first_seq, loss.cause) == (0, message.GAP_OVERWRITTEN)
    assert loss.last_seq == 400 - 256 - 1
    assert rig.of(Report)[0].message.text == "hello"


def test_wake_follows_every_answer():
    rig = Rig()
    rig.link.welcome(1, (0, 0))
    rig.link.committed(1, 0, 5)
    rig.link.restart()
    assert rig.port.wakes == 3


def test_short_writes_lose_nothing():
    rig = Rig()
    rig.port.room = 0
    for _ in range(400):
        rig.link.step()
        rig.port.room = 1  # a byte at a time
        rig.board.exchange(rig.port)
        rig.clock.advance(5)
    # The host's state says nothing of what arrived; the board's does.
    assert rig.board.session.state == session.UP
    assert rig.board.session.decoder.frames_total >= 2
    assert rig.board.session.decoder.bad_fcs_total == 0


# -- time --------------------------------------------------------------------------


def utc_ms(batch):
    """Return the time of the first reading of a batch."""
    _, flags, span, _ = unpack_from("<BBHi", batch.records)
    return batch.base_utc_ms + ((flags >> 2) << 16 | span)


@pytest.mark.parametrize("latency_ms", [0, 1, 7, 40])
def test_time_of_a_batch_is_right_within_its_bound(latency_ms):
    rig = Rig(uptime_ms=123_456)
    rig.pump(400, latency_ms=latency_ms)
    sampled_utc_ms = rig.clock.utc_ms()
    rig.board.sample(2150)
    rig.clock.advance(30_000)  # it lay in the board for long
    rig.pump(400, latency_ms=latency_ms)
    (batch,) = rig.of(TimedBatch)
    assert batch.error_ms is not None
    assert batch.error_ms <= latency_ms + 60  # 30 s of drift, and the way there and back
    assert abs(batch.base_utc_ms - sampled_utc_ms) <= batch.error_ms


def test_bound_holds_for_the_last_reading_of_a_batch_too():
    error_ms = {}
    for count in (1, 16):
        rig = Rig(uptime_ms=123_456).up()
        rig.pump(400)
        for _ in range(count):
            rig.board.sample(2150)
            rig.clock.advance(600)  # nobody asks for the time meanwhile, and the crystal drifts
        rig.board.exchange(rig.port)
        rig.clock.advance(200)  # an open block waits that long for a fuller frame
        rig.board.exchange(rig.port)
        rig.link.step()
        (batch,) = rig.of(TimedBatch)
        assert len(batch.records) == count * RECORD_SIZE
        error_ms[count] = batch.error_ms
    assert error_ms[16] >= error_ms[1] + 15 * 600 * DRIFT_PPM // 1_000_000


def test_answer_to_an_agent_before_this_one_dates_nothing():
    rig = Rig(uptime_ms=123_456)
    old = []
    for _ in range(20):
        rig.link.step()
        rig.board.exchange(rig.port)
        old += [chunk for chunk in rig.port.incoming if chunk[2] == message.TIME_RESPONSE]
        rig.clock.advance(5)
    assert old
    rig.clock.advance(20_000)
    rig.port.close()
    rig.link = SerialLink("porch", rig.port, rig.clock, Random(7), rig.inbox)
    for _ in range(20):
        rig.link.step()
        rig.port.incoming.extend(old)  # before the board has had a chance to answer
        rig.link.step()
        rig.board.exchange(rig.port)
        rig.clock.advance(5)
    rig.board.sample(1)
    rig.pump(100)
    batch = rig.of(TimedBatch)[-1]
    assert abs(rig.clock.utc_ms() - batch.base_utc_ms) < 1000
    assert rig.link.session.stale_total >= len(old)


def test_board_is_not_welcomed_before_its_uptime_is_known(log):
    rig = Rig()
    rig.link.step()
    rig.board.sample(1)
    for _ in range(3000):  # every answer to a TIME_REQUEST is lost on the way
        rig.link.step()
        rig.board.exchange(rig.port)
        kept = [chunk for chunk in rig.port.incoming if chunk[2] != message.TIME_RESPONSE]
        rig.port.incoming.clear()
        rig.port.incoming.extend(kept)
        rig.clock.advance(5)
    # A reading that can't be dated stays where its date is known.
    assert rig.of(TimedBatch) == []
    assert rig.link.state == HANDSHAKING
    assert "is the line towards it connected?" in rig.link.problem
    assert len(log.having("is heard but does not answer")) == 1
    rig.pump(800)
    (batch,) = rig.of(TimedBatch)
    assert batch.error_ms is not None
    assert 14_000 <= rig.clock.utc_ms() - batch.base_utc_ms <= 20_000


def test_step_of_the_computers_clock_moves_no_reading_against_another():
    rig = Rig().up()
    rig.pump(50)
    rig.board.sample(1)
    rig.pump(100)
    rig.clock.advance(1000)
    rig.board.sample(2)
    rig.clock.now_utc_ms += 3_600_000
    rig.pump(100)
    first, second = rig.of(TimedBatch)
    # Dated by the clock as it is when they come: the second is an hour later, and no more.
    moved = utc_ms(second) - utc_ms(first)
    assert abs(moved - 3_600_000 - 1500) <= first.error_ms + second.error_ms


# -- a port that fails -------------------------------------------------------------


def test_port_that_does_not_open_is_one_warning(log):
    rig = Rig()
    rig.port.problem = "serial port /dev/fake does not exist"
    for _ in range(50):
        rig.link.step()
        rig.clock.advance(6000)
    assert rig.link.state == CLOSED
    assert rig.port.open_attempts == 50
    assert rig.link.failures_total == 50
    assert log.warnings() == [
        "link porch: serial port /dev/fake does not exist; trying again",
    ]
    assert rig.link.problem == "serial port /dev/fake does not exist"


def test_another_problem_is_another_warning(log):
    rig = Rig()
    for problem in ("does not exist", "is in use", "is in use"):
        rig.port.problem = problem
        rig.link.step()
        rig.clock.advance(6000)
    assert len(log.warnings()) == 2


def test_back_off_doubles_up_to_its_bound_and_waits():
    rig = Rig(share=1.0)
    rig.port.problem = "gone"
    waits = []
    for _ in range(10):
        rig.link.step()
        wait_s = rig.link.step()  # not due yet: says how long
        waits.append(wait_s)
        rig.clock.advance(round(wait_s * 1000))
    assert rig.port.open_attempts == 10
    assert [high for _, high in rig.rng.ranges] == [0.25, 0.5, 1, 2, 4, 5, 5, 5, 5, 5]
    assert waits == [wait + 0.001 for _, wait in rig.rng.ranges]
    assert max(waits) <= link_module.REOPEN_MAX_S + 0.001


def test_jitter_comes_from_the_given_random():
    rig = Rig(share=0.0)
    rig.port.problem = "gone"
    rig.link.step()
    assert rig.link.step() == 0.001


def test_port_that_opens_later_recovers(log):
    rig = Rig()
    rig.port.problem = "gone"
    for _ in range(3):
        rig.link.step()
        rig.clock.advance(6000)
    rig.port.problem = ""
    rig.up()
    assert rig.link.problem == ""
    assert log.having("is up after 3 failed attempts")


def test_port_that_goes_away_is_reopened_and_back_off_starts_anew(log):
    rig = Rig().up()
    rig.port.fault = "serial port /dev/fake went away"
    rig.link.step()
    assert rig.link.state == CLOSED
    assert not rig.port.is_open
    assert log.warnings() == ["link porch: serial port /dev/fake went away; trying again"]
    assert rig.rng.ranges == [(0, 0.25)]
    rig.port.fault = ""
    rig.port.incoming.clear()
    rig.clock.advance(500)
    rig.board.session._greet_anew()  # it hears nothing for a while
    rig.up()
    assert rig.link.opens_total == 2
    assert len(rig.of(Greeting)) == 2


def test_readings_not_committed_come_again_after_a_cut():
    rig = Rig().up()
    rig.board.sample(*range(8))
    rig.pump(100)
    rig.port.fault = "cut"
    rig.link.step()
    rig.port.fault = ""
    rig.port.incoming.clear()
    rig.port.take_written()
    rig.clock.advance(16_000)  # the board gives the host up
    rig.events.clear()
    rig.pump(400)
    assert rig.link.state == UP
    assert [batch.first_seq for batch in rig.of(TimedBatch)] == [0]


def test_full_inbox_closes_the_line_so_that_the_board_keeps_its_readings(log):
    rig = Rig().up()
    rig.takes = False
    rig.board.sample(*range(4))
    rig.pump(100)
    assert rig.link.refused_total >= 1
    assert log.having("the agent is too far behind")
    rig.takes = True
    rig.clock.advance(20_000)
    rig.pump(500)
    assert [batch.first_seq for batch in rig.of(TimedBatch)] == [0]
    assert rig.board.session.in_flight == 4


# -- a board that is not well ------------------------------------------------------


def test_garbage_is_counted_and_the_next_frame_is_taken():
    rig = Rig().up()
    rig.port.incoming.append(bytes(range(256)) * 3 + b"~\x01\x04broken~" + b"\x00" * 2000 + b"~")
    rig.link.step()
    rig.board.sample(5)
    rig.pump(100)
    assert len(rig.of(TimedBatch)) == 1
    status = rig.link.status()
    assert status["frames_bad_total"] == 1
    assert status["noise_bytes_total"] + status["console_bytes_total"] > 0
    assert rig.link.state == UP


def test_bad_and_unknown_messages_are_counted():
    rig = Rig().up()
    rig.port.incoming.append(encode(b"\x01\xc8\x00\x00whatever") + encode(b"\x01\x05\x00\x00"))
    rig.link.step()
    assert rig.link.status()["messages_unknown_total"] == 1
    assert rig.link.status()["messages_bad_total"] == 1
    assert rig.link.state == UP


def test_port_without_a_board_is_one_warning_and_a_state(log):
    rig = Rig()
    for _ in range(100):
        rig.link.step()
        rig.port.incoming.append(b"Login: \r\n")
        rig.clock.advance(1000)
    assert rig.link.state == HANDSHAKING
    (warning,) = log.warnings()
    assert "no HELLO on /dev/fake within 10 s" in warning
    assert "does the board run the firmware?" in warning
    assert "no HELLO" in rig.link.status()["problem"]
    rig.up()
    assert rig.link.problem == ""


def test_no_warning_before_ten_seconds(log):
    rig = Rig()
    for _ in range(10):
        rig.link.step()
        rig.clock.advance(1000)
    assert log.warnings() == []


def test_silence_closes_and_reopens(log):
    rig = Rig().up()
    for _ in range(13):
        rig.link.step()
        rig.clock.advance(1000)
    assert rig.link.state == SILENT
    assert not rig.port.is_open
    (warning,) = log.warnings()
    assert "nothing heard for 12 s on /dev/fake" in warning
    rig.port.take_written()
    rig.clock.advance(4000)
    rig.pump(400)
    assert rig.link.state == UP
    assert rig.link.opens_total == 2


def test_quiet_board_that_answers_is_not_silent():
    rig = Rig().up()
    rig.pump(600, ms=100)  # a minute without a reading
    assert rig.link.state == UP
    assert rig.link.opens_total == 1


def test_board_that_boots_anew_is_greeted_anew():
    rig = Rig().up()
    rig.board = FakeBoard(rig.clock, boot=0x0BADCAFE, uptime_ms=100)
    rig.pump(50)
    assert [event.hello.boot for event in rig.of(Greeting)] == [0x12345678, 0x0BADCAFE]
    rig.board.sample(1)
    rig.pump(100)
    assert rig.of(TimedBatch)[-1].boot == 0x0BADCAFE
    assert rig.link.status()["boot"] == "0badcafe"


# -- restart -----------------------------------------------------------------------


def test_restart_makes_the_board_greet_anew():
    rig = Rig().up()
    rig.link.restart()
    rig.board.sample(1)
    rig.pump(400)
    assert len(rig.of(Greeting)) == 2
    assert rig.link.state == UP
    assert rig.link.opens_total == 1


def test_restart_of_an_old_link_gives_the_board_time_before_it_warns(log):
    rig = Rig().up()
    rig.pump(300, ms=50)  # it has been open for longer than a board has to say HELLO
    rig.link.restart()
    rig.board.sample(1)
    rig.pump(400)
    assert rig.link.state == UP
    assert log.warnings() == []


def test_answers_from_before_a_restart_do_no_harm():
    rig = Rig().up()
    rig.board.sample(1)
    rig.pump(100)
    rig.link.restart()
    rig.link.committed(rig.board.boot, 0, 1)
    rig.pump(2)
    assert rig.board.session.in_flight == 1
    rig.pump(1500)  # until the board sends again what nobody acknowledged
    assert rig.link.state == UP


# -- console -----------------------------------------------------------------------


def test_console_text_is_logged_by_line(log):
    rig = Rig().up()
    rig.port.incoming.append(b"boot: 1.2\r\nhal")
    rig.link.step()
    rig.port.incoming.append(b"f a line\n")
    rig.link.step()
    assert log.having("board prints") == [
        "link porch: board prints: boot: 1.2",
        "link porch: board prints: half a line",
    ]


def test_console_text_is_logged_in_moderation(log):
    rig = Rig().up()
    for number in range(100):
        rig.port.incoming.append(b"line %d\n" % number)
        rig.link.step()
    assert len(log.having("board prints")) == link_module.CONSOLE_LINES_MAX
    assert rig.link.console_lines_total == 100
    rig.clock.advance(60_000)
    rig.board.exchange(rig.port)
    rig.port.incoming.append(b"a minute later\n")
    rig.pump(3)
    assert log.having("a minute later")


def test_long_console_line_is_cut(log):
    rig = Rig().up()
    rig.port.incoming.append(b"x" * 900 + b"\n")
    rig.link.step()
    for line in log.having("board prints"):
        assert len(line) < link_module.CONSOLE_LINE_SIZE_MAX + 50


# -- the thread --------------------------------------------------------------------


def test_run_sends_the_last_acknowledgement_and_closes():
    rig = Rig().up()
    rig.board.sample(*range(4))
    rig.pump(100)
    rig.link.committed(rig.board.boot, 0, 4)
    rig.link.stop()
    rig.link.run()
    rig.board.exchange(rig.port)
    assert rig.board.session.in_flight == 0
    assert not rig.port.is_open
    assert rig.link.state == CLOSED


def test_run_survives_what_nobody_expected(log):
    rig = Rig(share=0.0)

    class Odd(FakePort):
        def read(self):
            raise ZeroDivisionError

    rig.link = SerialLink("porch", Odd(), rig.clock, rig.rng, rig.inbox)
    thread = threading.Thread(target=rig.link.run, daemon=True)
    thread.start()
    wait_for(lambda: log.having("link porch failed; it starts anew"), "the log line")
    wait_for(lambda: rig.link.problem == "internal error, see the log", "the problem")
    rig.link.stop()
    thread.join(10)
    assert not thread.is_alive()


def test_status_is_json():
    import json

    rig = Rig().up()
    status = json.loads(json.dumps(rig.link.status()))
    assert status["state"] == "up"
    assert status["device"] == "board-1"
    assert status["boot"] == "12345678"
    assert status["port"] == "/dev/fake"
    assert json.loads(json.dumps(Rig().link.status()))["device"] is None
