"""Both ends of the link against each other: time, and what a board can take."""

from pair import DROP, Pair, pair_that_is_up
from pyv_edge_core import message, session
from pyv_edge_core.frame import encode

HEAP_KB_MIN = 256  # a board, its host and the wires between them: more than a board holds


def test_time_exchange_bounds_the_uptime():
    for delay_ms in (0, 30, 250):
        pair = Pair(now_ms=7000)
        pair.to_host.delay_ms = pair.to_board.delay_ms = delay_ms
        pair.run(20000)
        assert len(pair.exchanges) >= 3, delay_ms
        for exchange in pair.exchanges:
            uptime_ms = exchange.uptime_s * 1000 + exchange.uptime_ms
            read_at_ms = pair.booted_ms + uptime_ms
            assert exchange.sent_ms <= read_at_ms <= exchange.received_ms, (delay_ms, exchange)
            width_ms = exchange.received_ms - exchange.sent_ms
            assert width_ms <= 2 * delay_ms + 20, (delay_ms, exchange)


def test_time_is_asked_for_every_few_seconds():
    pair = pair_that_is_up()
    before = len(pair.exchanges)
    pair.run(10 * session.TIME_INTERVAL_MS, 50)
    assert 9 <= len(pair.exchanges) - before <= 10


def test_lost_time_exchange_is_counted_and_begun_again():
    for wire, kind in (("to_board", message.TIME_REQUEST), ("to_host", message.TIME_RESPONSE)):
        pair = Pair()
        getattr(pair, wire).harm_next(kind, DROP)
        pair.run(session.TIME_AGAIN_MS // 2)
        assert (pair.exchanges, pair.host.pacing.time_lost_total) == ([], 0), kind
        pair.run(session.TIME_AGAIN_MS)
        assert (len(pair.exchanges), pair.host.pacing.time_lost_total) == (1, 1), kind


def test_answer_to_an_old_request_is_not_believed():
    pair = pair_that_is_up()
    before = len(pair.exchanges)
    for token in (0, 1, 999):
        raw = message.pack(message.TIME_RESPONSE, pair.device.tag, token, 5, 0)
        stale = pair.host.stale_total
        assert pair.host.receive(encode(raw), pair.now_ms) == [], token
        assert pair.host.stale_total == stale + 1, token
    assert len(pair.exchanges) == before


def test_late_answer_gives_a_wide_bound_and_not_a_wrong_one():
    pair = Pair()
    pair.to_host.delay_ms = 2500
    pair.run(20000, 50)
    assert pair.exchanges
    for exchange in pair.exchanges:
        read_at_ms = pair.booted_ms + exchange.uptime_s * 1000 + exchange.uptime_ms
        assert exchange.sent_ms <= read_at_ms <= exchange.received_ms, exchange
        assert exchange.received_ms - exchange.sent_ms >= 2500, exchange


def test_board_that_never_answers_is_asked_only_while_there_is_room():
    pair = Pair()
    pair.is_welcoming = False
    pair.to_host.harm_next(message.TIME_RESPONSE, DROP, 1000)
    pair.run(30000, 50)
    assert pair.exchanges == []
    assert pair.host.pacing.time_lost_total > 3
    assert pair.host.pacing.in_flight <= session.IN_FLIGHT_MAX


def test_board_whose_ticks_wrap_goes_on():
    pair = Pair(now_ms=2**30 - 5000)
    for _ in range(100):
        pair.sample(2)
        pair.run(100)
    pair.run(1000)
    assert pair.now_ms > 2**30
    assert pair.is_settled()
    assert pair.to_host.kinds().count(message.HELLO) == 1
    assert pair.device.resends_total == 0
    pair.check_all_accounted_for()


def test_elapsed_time_over_the_wrap():
    top = 2**30
    for now_ms, then_ms, expected in (
        (0, 0, 0),
        (5, 3, 2),
        (0, top - 1, 1),
        (99, top - 1, 100),
        (top - 1, 0, top - 1),
        (top + 7, top - 1, 8),
    ):
        assert session.elapsed_ms(now_ms, then_ms) == expected, (now_ms, then_ms)


def _check_bytes_towards_a_board(delay_ms):
    pair = Pair(window=256)
    pair.to_board.delay_ms = pair.to_host.delay_ms = delay_ms
    pair.to_host.harm_next(message.DATA, DROP, 3)
    for _ in range(60):
        pair.sample(7)
        pair.sample(1, stream=1)
        pair.run(50)
    assert 0 < pair.unread_max <= session.IN_FLIGHT_MAX, (delay_ms, pair.unread_max)
    pair.run(8000, 20)
    assert pair.is_settled(), delay_ms
    pair.check_all_accounted_for()


def test_bytes_towards_a_board_stay_within_its_input():
    for delay_ms in (0, 50, 400):
        # In a function of its own: a board's heap holds one Pair of this size, not two.
        _check_bytes_towards_a_board(delay_ms)


def test_board_that_does_not_read_is_not_flooded():
    pair = pair_that_is_up(telemetry=512, window=512)
    pair.to_board.delay_ms = 1900  # reads, but late
    for _ in range(60):
        pair.sample(16)
        pair.run(100)
    assert 100 < pair.unread_max <= session.IN_FLIGHT_MAX, pair.unread_max


def test_no_control_character_is_sent_to_a_board():
    pair = pair_that_is_up(host="pyv-edge 0.1")
    taken = []
    transmit = pair.host.transmit

    def recorded(now_ms):
        framed = transmit(now_ms)
        if framed:
            taken.append(framed)
        return framed

    pair.host.transmit = recorded
    pair.start_board(0x03010D11)
    for _ in range(40):
        pair.sample(3)
        pair.run(100)
    assert sum([len(framed) for framed in taken]) > 200
    for framed in taken:
        assert not framed or min(framed) >= 0x20, framed
