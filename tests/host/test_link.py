"""SerialLink over a fake port, with the core's own board at the far end and a fake clock."""

import logging
import threading
from random import Random
from struct import unpack_from

import pytest
from host.fakes import FakeBoard, FakePort
from host.link_rig import Rig
from host.waiting import wait_for
from pyv_edge_agent import console, link_state
from pyv_edge_agent.dating import TimedBatch
from pyv_edge_agent.link import SerialLink
from pyv_edge_agent.link_state import HANDSHAKING, OPENING, SEARCHING, SILENT, UP
from pyv_edge_core import device_states, message
from pyv_edge_core.frame import encode
from pyv_edge_core.host_event import Greeting, Loss, Report

# -- the ordinary course -----------------------------------------------------------


def test_new_link_has_opened_nothing():
    rig = Rig()
    assert rig.port.open_attempts == 0
    assert rig.link.state == SEARCHING


def test_handshake_brings_the_link_up(log):
    rig = Rig()
    rig.link.step()
    assert rig.port.is_open
    assert rig.link.state == HANDSHAKING
    rig.up()
    (greeting,) = rig.of(Greeting)
    assert greeting.hello.boot == rig.board.boot
    assert [channel.name for channel in greeting.channels] == ["temp", "rh"]
    assert log.having("board board-1 is up after 0.0 s and 0 failed attempts")
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
    assert rig.board.session.state == device_states.UP
    assert rig.board.session.decoder.frames_total >= 2
    assert rig.board.session.decoder.bad_fcs_total == 0


# -- time --------------------------------------------------------------------------


def taken_ms(batch):
    """Return the time of the first reading of a batch."""
    _, flags, span, _ = unpack_from("<BBHi", batch.records)
    return batch.base_ms + ((flags >> 2) << 16 | span)


@pytest.mark.parametrize("latency_ms", [0, 1, 7, 40])
def test_time_of_a_batch_is_right_within_its_bound(latency_ms):
    rig = Rig(uptime_ms=123_456)
    rig.pump(400, latency_ms=latency_ms)
    sampled_ms = rig.clock.monotonic_ms()
    rig.board.sample(2150)
    rig.clock.advance(30_000)  # it lay in the board for long
    rig.pump(400, latency_ms=latency_ms)
    (batch,) = rig.of(TimedBatch)
    assert batch.error_ms <= latency_ms + 10  # it was dated before it lay there too
    assert abs(taken_ms(batch) - sampled_ms) <= batch.error_ms


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
    assert abs(rig.clock.monotonic_ms() - batch.base_ms) < 1000
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
    assert 14_000 <= rig.clock.monotonic_ms() - taken_ms(batch) <= 20_000


def test_step_of_the_computers_clock_moves_no_reading_against_another():
    rig = Rig().up()
    rig.pump(50)
    rig.board.sample(1)
    rig.pump(100)
    rig.clock.advance(1000)
    rig.board.sample(2)
    rig.clock.step(3_600_000)
    rig.pump(100)
    first, second = rig.of(TimedBatch)
    moved_ms = taken_ms(second) - taken_ms(first)
    assert 0 < first.error_ms + second.error_ms < 20
    assert abs(moved_ms - 1500) <= first.error_ms + second.error_ms


def test_reading_that_its_block_began_long_before_is_dated_as_well_as_any():
    # A channel that is read once a minute: 16 of its readings share a base time.
    rig = Rig().up()
    taken = []
    for _ in range(10):
        rig.pump(12_000)
        taken.append(rig.clock.monotonic_ms())
        rig.board.sample(1)
        rig.pump(100)
    batches = rig.of(TimedBatch)
    assert len(batches) == 10
    assert batches[-1].base_ms < taken[-1] - 100_000
    for sampled_ms, batch in zip(taken, batches, strict=True):
        assert batch.error_ms <= 12
        assert abs(taken_ms(batch) - sampled_ms) <= batch.error_ms


# -- a port that fails -------------------------------------------------------------


def test_port_that_does_not_open_is_one_warning(log):
    rig = Rig()
    rig.port.problem = "serial port /dev/fake is in use"
    for _ in range(50):
        rig.link.step()
        rig.clock.advance(6000)
    assert rig.link.state == OPENING
    assert rig.port.open_attempts == 50
    assert rig.link.status()["failures_total"] == 50
    assert rig.link.status()["entered_total"]["opening"] == 1
    assert log.warnings() == ["link porch: serial port /dev/fake is in use; trying again"]
    assert rig.link.problem == "serial port /dev/fake is in use"


def test_port_that_is_not_there_is_looked_for_and_no_failure(log):
    rig = Rig()
    rig.port.absent = "serial port /dev/fake does not exist"
    for _ in range(50):
        rig.link.step()
        assert rig.link.step() == link_state.LOOK_S  # and no back-off, however long it takes
        rig.clock.advance(500)
    assert rig.link.state == SEARCHING
    assert rig.port.open_attempts == 50
    assert rig.link.status()["failures_total"] == 0
    assert rig.link.status()["entered_total"] == dict.fromkeys(link_state.STATES, 0) | {
        "searching": 1
    }
    assert log.warnings() == ["link porch: serial port /dev/fake does not exist; looking for it"]
    assert rig.link.problem == "serial port /dev/fake does not exist"
    rig.port.absent = ""
    rig.up()
    assert rig.link.problem == ""
    assert rig.rng.ranges == []


def test_each_state_counts_its_entries_and_knows_since_when():
    rig = Rig().up()
    status = rig.link.status()
    assert status["entered_total"] == {
        "searching": 1,
        "opening": 1,
        "handshaking": 1,
        "up": 1,
        "silent": 0,
        "lent": 0,
    }
    before_s = status["state_s"]
    rig.pump(100, ms=10)
    assert rig.link.status()["state_s"] == pytest.approx(before_s + 1.0)


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
    assert max(waits) <= link_state.BACK_OFF_MAX_S + 0.001


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
    assert log.having("is up after 18.0 s and 3 failed attempts")


def test_port_that_goes_away_is_looked_for_and_opened_when_it_is_back(log):
    rig = Rig().up()
    rig.board.sample(1, 2, 3)
    rig.pump(100)
    rig.link.committed(rig.board.boot, 0, 1)
    rig.pump(2)
    rig.port.fault = "serial port /dev/fake went away"
    rig.port.absent = "serial port /dev/fake does not exist"
    for _ in range(20):  # it is looked for, without a word
        rig.link.step()
        rig.clock.advance(300)
    assert rig.link.state == SEARCHING
    assert not rig.port.is_open
    (warning,) = log.warnings()
    assert warning.startswith("link porch: serial port /dev/fake went away; it was up for ")
    assert warning.endswith(" s, 2 readings come again; looking for it")
    assert rig.link.problem == "serial port /dev/fake does not exist"
    assert rig.link.status()["failures_total"] == 0
    rig.port.fault = rig.port.absent = ""
    rig.port.incoming.clear()
    rig.clock.advance(500)
    rig.board.greet_anew()  # it hears nothing for a while
    rig.up()
    assert rig.link.opens_total == 2
    assert len(rig.of(Greeting)) == 2
    assert log.having("board board-1 is up after 6")


def test_port_that_goes_before_the_board_is_up_is_a_failure_with_back_off():
    rig = Rig()
    rig.link.step()
    for _ in range(4):
        rig.port.fault = "serial port /dev/fake went away"
        rig.link.step()
        assert rig.link.state == OPENING
        assert not rig.port.is_open
        rig.port.fault = ""
        rig.clock.advance(6000)
        rig.link.step()
        assert rig.link.state == HANDSHAKING
    assert [high for _, high in rig.rng.ranges] == [0.25, 0.5, 1, 2]
    rig.pump(500)
    assert rig.link.state == UP
    rig.link.states.on(link_state.SILENCE, "quiet")
    assert rig.rng.ranges[-1] == (0, 0.25)  # it begins anew once the board was up


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
    assert "no HELLO on /dev/fake; " in warning
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
    assert len(log.having("board prints")) == console.LINES_MAX
    assert rig.link.dialogue.console.lines_total == 100
    rig.clock.advance(60_000)
    rig.board.exchange(rig.port)
    rig.port.incoming.append(b"a minute later\n")
    rig.pump(3)
    assert log.having("a minute later")


def test_board_logs_at_its_level_and_forges_no_line(log):
    rig = Rig().up()
    for level, text in (
        (10, "d"),
        (40, "e"),
        (7, "odd"),
        (30, "w\n2026 ERROR \x1b[2Jforged\u2028x"),
    ):
        rig.board.session.report(message.pack(message.LOG, rig.board.session.tag, level, text))
        rig.pump(3)
    assert log.lines(logging.ERROR) == ["link porch: board says: e"]
    assert log.warnings()[-1] == "link porch: board says: w\\n2026 ERROR \\x1b[2Jforged\\u2028x"
    assert log.having("board says: odd") and log.having("board says: d")


def test_long_console_line_is_cut(log):
    rig = Rig().up()
    rig.port.incoming.append(b"x" * 900 + b"\n")
    rig.link.step()
    for line in log.having("board prints"):
        assert len(line) < console.LINE_SIZE_MAX + 50


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
    assert rig.link.state == SEARCHING


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
