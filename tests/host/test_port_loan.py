"""A link lends its port, and takes it back: with the core's own board and a fake clock."""

import pytest
from host.fakes import FakeClock, FakePort, FixedRandom
from host.link_rig import Rig
from pyv_edge_agent.dating import TimedBatch
from pyv_edge_agent.errors import RequestError
from pyv_edge_agent.link import SerialLink
from pyv_edge_agent.link_state import HANDSHAKING, LENT, OPENING, SEARCHING, UP
from pyv_edge_agent.port_loan import DRAIN_MS
from pyv_edge_core import message

MINUTE_MS = 60_000


def lent(rig, for_ms=10 * MINUTE_MS):
    """Lend the port of a link; return what is known of the loan."""
    future = rig.link.loan.lend(for_ms)
    rig.pump(100)
    assert rig.link.state == LENT
    return future.result(0)


def back(rig):
    future = rig.link.loan.take_back()
    rig.link.step()
    return future.result(0)


def commit(rig):
    """Commit all that came, as the agent would."""
    ends = {0: 0}
    for batch in rig.of(TimedBatch):
        ends[batch.stream] = batch.first_seq + len(batch.records) // 8
    for stream, end in ends.items():
        rig.link.committed(rig.board.boot, stream, end)


# -- the ordinary course -----------------------------------------------------------


def test_port_is_closed_and_what_is_there_is_told(log):
    rig = Rig().up()
    loan = lent(rig)
    assert not rig.port.is_open
    assert (loan.port, loan.path) == ("/dev/fake", "/dev/fake")
    assert loan.who == {"device": "board-1", "boot": "12345678", "firmware": "1.0"}
    assert loan.is_settled and not loan.is_prolonged
    assert rig.link.problem == ""
    assert log.having("link porch: its port is lent until ")
    assert log.warnings() == []


def test_port_stays_closed_until_the_time_is_over_and_is_opened_then(log):
    rig = Rig().up()
    loan = lent(rig)
    opened = rig.port.open_attempts
    while rig.clock.monotonic_ms() < loan.until_ms:
        wait_s = rig.link.step()
        assert 0 < wait_s <= 10  # so that a thread that hangs is noticed
        rig.clock.advance(1000)
    assert (rig.link.state, rig.port.open_attempts) == (LENT, opened)
    rig.clock.advance(1000)
    rig.reboot(7)
    rig.up()
    assert log.having("link porch: the loan of its port is over: its time is over")
    assert rig.link.loan.current is None
    assert rig.link.status()["boot"] == "00000007"
    assert rig.link.status()["entered_total"]["lent"] == 1


def test_loan_may_end_between_two_looks_at_the_clock():
    class Ticking(FakeClock):
        def monotonic_ms(self):
            self.advance(1)
            return self.now_ms

    for for_ms in range(1, 20):
        link = SerialLink("porch", FakePort(), Ticking(), FixedRandom(), lambda *_: True)
        future = link.loan.lend(for_ms)
        for _ in range(20):
            link.step()
        assert future.done()
        assert link.state == HANDSHAKING


def test_port_is_taken_back_before_its_time(log):
    rig = Rig().up()
    lent(rig)
    assert back(rig) is True
    assert rig.link.state == HANDSHAKING  # in the same step
    rig.board.greet_anew()
    rig.up()
    assert log.having("link porch: the loan of its port is over: it is taken back")


def test_what_was_not_lent_can_be_taken_back_all_the_same():
    rig = Rig().up()
    assert back(rig) is False
    assert rig.link.state == UP


def test_lending_again_makes_it_longer_and_never_shorter():
    rig = Rig().up()
    first = lent(rig, 10 * MINUTE_MS)
    rig.clock.advance(MINUTE_MS)
    second = lent(rig, 10 * MINUTE_MS)
    assert second.is_prolonged
    assert second.until_ms > first.until_ms + MINUTE_MS - 1
    assert (second.path, second.who) == (first.path, first.who)
    assert lent(rig, MINUTE_MS).until_ms == second.until_ms
    assert rig.link.states.wait_s() * 1000 == second.until_ms - rig.clock.monotonic_ms()


def test_several_who_ask_at_once_get_the_longest():
    rig = Rig().up()
    futures = [rig.link.loan.lend(minutes * MINUTE_MS) for minutes in (1, 5, 3)]
    rig.pump(100)
    (until_ms,) = {future.result(0).until_ms for future in futures}
    assert until_ms >= rig.clock.monotonic_ms() + 4 * MINUTE_MS


def test_port_that_is_not_there_can_be_lent():
    rig = Rig()
    rig.port.absent, rig.port.path = "serial port /dev/fake does not exist", ""
    rig.link.step()
    assert rig.link.state == SEARCHING
    loan = lent(rig)
    assert loan.path == ""
    assert loan.who == {"device": None, "boot": None, "firmware": None}
    assert rig.link.problem == ""
    assert rig.link.status()["path"] is None
    back(rig)
    assert rig.link.state == SEARCHING
    assert rig.link.problem == "serial port /dev/fake does not exist"


def test_port_that_somebody_still_has_is_tried_with_back_off(log):
    rig = Rig().up()
    lent(rig)
    rig.port.problem = "serial port /dev/fake is in use by another program; stop that one"
    back(rig)
    assert rig.link.state == OPENING
    assert "in use" in rig.link.problem
    wait_s = rig.link.step()
    assert wait_s == 0.251
    rig.clock.advance(251)
    rig.port.problem = ""
    rig.board.greet_anew()
    rig.up()


def test_port_that_nobody_could_open_is_lent_at_once():
    rig = Rig()
    rig.port.problem = "serial port /dev/fake is in use"
    rig.link.step()
    future = rig.link.loan.lend(MINUTE_MS)
    rig.link.step()
    assert future.result(0).is_settled


# -- what had come before ----------------------------------------------------------


def test_port_is_closed_when_the_board_has_read_that_all_is_stored():
    rig = Rig().up()
    rig.board.sample(*range(20))
    rig.pump(100)
    future = rig.link.loan.lend(MINUTE_MS)
    rig.pump(100)
    assert not future.done()  # nothing is committed yet
    commit(rig)
    for _ in range(10):
        rig.link.step()
        assert not future.done()  # nothing is read yet
    rig.pump(100)
    assert future.result(0).is_settled
    assert rig.board.session.in_flight == 0


def test_port_is_closed_also_while_readings_go_on_coming():
    rig = Rig().up()
    rig.board.sample(*range(20))
    rig.pump(20)
    future = rig.link.loan.lend(MINUTE_MS)
    for value in range(500):
        rig.board.sample(value)
        rig.pump(1)
        if value % 20 == 0:
            commit(rig)
        if future.done():
            break
    assert future.result(0).is_settled


def test_port_is_closed_at_last_although_nothing_is_stored(log):
    rig = Rig().up()
    rig.board.sample(*range(20))
    rig.pump(100)
    future = rig.link.loan.lend(MINUTE_MS)
    began_ms = rig.clock.monotonic_ms()
    while not future.done():
        rig.pump(1)
        assert rig.clock.monotonic_ms() <= began_ms + DRAIN_MS + 10
    assert not future.result(0).is_settled
    assert log.having("UTC; what is not acknowledged by now comes again")
    assert rig.board.session.in_flight == 20
    back(rig)
    rig.board.greet_anew()
    rig.up()
    rig.pump(100)
    assert len(rig.of(TimedBatch)) > 1  # the board had kept them


def test_request_under_way_is_answered_before():
    rig = Rig().up()
    asked = rig.link.command("identify", timeout_ms=60_000)
    future = rig.link.loan.lend(MINUTE_MS)
    rig.pump(20)
    assert not asked.done() and not future.done()
    rig.board.answer = (message.RESULT_DONE, 0, "")
    rig.pump(20)
    assert asked.result(0).is_done
    assert future.result(0).is_settled


def test_request_that_nobody_answers_is_given_up_while_the_port_is_lent():
    rig = Rig().up()
    asked = rig.link.command("identify", timeout_ms=60_000)
    loan = rig.link.loan.lend(10 * MINUTE_MS)
    rig.pump(1100)
    assert not loan.result(0).is_settled
    assert 0 < rig.link.step() <= 0.5
    rig.clock.advance(70_000)
    rig.link.step()
    assert asked.result(0).name == "no answer in time"
    assert rig.link.state == LENT


def test_line_that_fails_meanwhile_is_lent_at_once():
    rig = Rig().up()
    rig.board.sample(1)
    rig.pump(20)
    future = rig.link.loan.lend(MINUTE_MS)
    rig.link.step()
    rig.port.fault = "went away"
    rig.link.step()
    rig.link.step()
    assert rig.link.state == LENT
    assert not future.result(0).is_settled
    assert rig.link.problem == ""


# -- ends --------------------------------------------------------------------------


def test_taking_back_before_it_is_lent_calls_it_off():
    rig = Rig().up()
    rig.board.sample(1)
    rig.pump(20)
    lending = rig.link.loan.lend(MINUTE_MS)
    rig.link.step()
    assert back(rig) is False
    with pytest.raises(RequestError, match="the port of porch: taken back before it was lent"):
        lending.result(0)
    rig.pump(50)
    assert rig.link.state == UP


def test_taking_back_while_the_port_is_being_closed():
    rig = Rig().up()
    returning = []

    class Interrupted(FakePort):
        def close(self):
            super().close()
            if not returning:
                returning.append(link.loan.take_back())

    port = Interrupted()
    link = SerialLink("porch", port, rig.clock, rig.rng, rig.inbox)
    link.step()
    lending = link.loan.lend(MINUTE_MS)
    link.step()
    with pytest.raises(RequestError, match="taken back before it was lent"):
        lending.result(0)
    link.step()
    assert returning[0].result(0) is True
    assert (link.state, link.loan.current, port.is_open) == (HANDSHAKING, None, True)


def test_lending_behind_taking_back_is_a_new_loan():
    rig = Rig().up()
    lent(rig)
    returning = rig.link.loan.take_back()
    lending = rig.link.loan.lend(MINUTE_MS)
    rig.link.step()
    assert returning.result(0) is True
    assert not lending.result(0).is_prolonged
    assert rig.link.state == LENT


def test_nobody_waits_for_a_link_that_has_stopped():
    rig = Rig().up()
    rig.board.sample(1)
    rig.pump(20)
    lending = rig.link.loan.lend(MINUTE_MS)
    rig.link.stop()
    with pytest.raises(RequestError, match="the port of porch: the link has stopped"):
        lending.result(0)
    for ask in (rig.link.loan.take_back, lambda: rig.link.loan.lend(1)):
        with pytest.raises(RequestError, match="the link has stopped"):
            ask()


def test_who_takes_back_does_not_wait_for_a_link_that_stops():
    rig = Rig().up()
    lent(rig)
    returning = rig.link.loan.take_back()
    rig.link.stop()
    with pytest.raises(RequestError, match="the link has stopped"):
        returning.result(0)


def test_loan_goes_over_to_the_link_behind():
    rig = Rig().up()
    loan = lent(rig)
    rig.link.stop()
    rig.link.run()
    assert rig.link.state == SEARCHING
    port = FakePort()
    heir = SerialLink("porch", port, rig.clock, rig.rng, rig.inbox)
    heir.loan.keep(rig.link.loan.current)
    heir.step()
    assert (heir.state, port.open_attempts) == (LENT, 0)
    assert heir.states.wait_s() * 1000 == loan.until_ms - rig.clock.monotonic_ms()
    prolonged = heir.loan.lend(60 * MINUTE_MS)
    heir.step()
    assert prolonged.result(0).who == loan.who
    rig.clock.advance(61 * MINUTE_MS)
    heir.step()
    assert (heir.state, port.open_attempts) == (HANDSHAKING, 1)


def test_failure_of_ours_takes_nothing_from_whom_it_is_lent_to():
    rig = Rig().up()
    lent(rig)
    rig.link._close("an internal error", "internal error, see the log")
    assert rig.link.state == LENT
    assert rig.link.step() > 0
    assert not rig.port.is_open
