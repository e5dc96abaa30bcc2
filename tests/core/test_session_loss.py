"""Both ends of the link against each other: what can't be delivered is announced as a gap."""

from pair import CORRUPT, DROP, DUPLICATE, Pair, Store, pair_that_is_up
from pyv_edge_core import message
from pyv_edge_core.frame import encode

HEAP_KB_MIN = 256  # a board, its host and the wires between them: more than a board holds


def test_overwritten_readings_are_announced_with_their_numbers():
    pair = pair_that_is_up(telemetry=32)
    pair.to_host.is_cut = pair.to_board.is_cut = True
    pair.sample(80)
    pair.run(1000)
    pair.to_host.is_cut = pair.to_board.is_cut = False
    pair.run(8000)
    assert pair.gaps() == [(message.GAP_OVERWRITTEN, 0, 47)]
    assert pair.delivered() == list(range(48, 80))
    assert pair.telemetry.dropped_total == 48
    pair.check_all_accounted_for()


def test_gap_larger_than_the_window_does_not_stop_the_stream():
    pair = Pair(telemetry=32, window=16)
    pair.sample(1000)
    pair.run(3000)
    assert pair.gaps() == [(message.GAP_OVERWRITTEN, 0, 975)]
    assert pair.is_settled()
    pair.check_all_accounted_for()


def test_gap_begins_behind_what_was_committed():
    pair = pair_that_is_up(telemetry=32)
    pair.sample(20)
    pair.run(500)
    pair.to_host.is_cut = True
    pair.sample(70)
    pair.run(500)
    pair.to_host.is_cut = False
    pair.run(8000)
    cause, first, last = pair.gaps()[0]
    assert (cause, first) == (message.GAP_OVERWRITTEN, 20)
    assert pair.delivered() == list(range(20)) + list(range(last + 1, 90))
    pair.check_all_accounted_for()


def test_lost_gap_is_announced_again():
    for action in (DROP, CORRUPT, DUPLICATE):
        pair = Pair(telemetry=32)
        pair.to_host.harm_next(message.GAP, action)
        pair.sample(64)
        pair.run(5000)
        assert pair.gaps() == [(message.GAP_OVERWRITTEN, 0, 31)], action
        assert pair.is_settled(), action
        pair.check_all_accounted_for()


def test_gap_beyond_what_has_arrived_waits_for_what_lies_before():
    pair = pair_that_is_up()
    gap = message.pack(message.GAP, pair.device.tag, 0, message.GAP_OVERWRITTEN, 5, 9)
    assert pair.host.receive(encode(gap), pair.now_ms) == []
    assert pair.host.resend_requests_total == 1
    gap = message.pack(message.GAP, pair.device.tag, 0, message.GAP_OVERWRITTEN, 0, 9)
    events = pair.host.receive(encode(gap), pair.now_ms)
    assert [(event.first_seq, event.last_seq) for event in events] == [(0, 9)]
    # One that overlaps tells only of what is new, one that doesn't tells nothing.
    gap = message.pack(message.GAP, pair.device.tag, 0, message.GAP_OVERWRITTEN, 3, 12)
    events = pair.host.receive(encode(gap), pair.now_ms)
    assert [(event.first_seq, event.last_seq) for event in events] == [(10, 12)]
    assert pair.host.receive(encode(gap), pair.now_ms) == []


def test_overwriting_between_sending_and_acknowledgement():
    pair = pair_that_is_up(telemetry=32, window=64)
    pair.is_committing = False
    pair.sample(32)
    pair.run(100)  # the host has them all
    pair.sample(40)  # and the ring none of them any more
    pair.run(500)
    pair.is_committing = True
    pair.run(5000)
    assert pair.delivered()[:32] == list(range(32))
    assert pair.is_settled()
    pair.check_all_accounted_for()


def test_host_that_lost_its_store_is_told_what_was_released():
    pair = pair_that_is_up()
    pair.sample(40)
    pair.sample(5, stream=1)
    pair.run(500)
    pair.store = Store()
    pair.start_host()
    pair.sample(10)
    pair.run(3000)
    assert pair.gaps() == [(message.GAP_RELEASED, 0, 39)]
    assert pair.gaps(1) in ([], [(message.GAP_RELEASED, 0, 4)])
    assert pair.delivered() == list(range(40, 50))
    assert pair.is_settled()
    pair.sample(1, stream=1)
    pair.run(1000)
    assert pair.gaps(1) == [(message.GAP_RELEASED, 0, 4)]
    assert pair.delivered(1) == [5]
    pair.check_all_accounted_for()


def test_released_and_overwritten_are_told_apart():
    pair = pair_that_is_up(telemetry=32)
    pair.sample(24)
    pair.run(500)
    pair.store = Store()
    pair.to_host.is_cut = True
    pair.sample(100)
    pair.start_host()
    pair.to_host.is_cut = False
    pair.run(3000)
    first_held = pair.delivered()[0]
    assert pair.gaps() == [
        (message.GAP_RELEASED, 0, 23),
        (message.GAP_OVERWRITTEN, 24, first_held - 1),
    ]
    pair.check_all_accounted_for()


def test_nothing_is_lost_over_a_bad_link():
    for seed in (1, 2, 3):
        state = [seed]

        def schedule(state=state):
            state[0] = (state[0] * 1103515245 + 12345) & 0x7FFFFFFF
            choice = state[0] >> 16 & 31
            actions = (DROP, CORRUPT, DUPLICATE)
            return (actions[choice] if choice < 3 else None), choice * 3

        pair = Pair(telemetry=128, events=32, window=48)
        pair.to_host.schedule = pair.to_board.schedule = schedule
        for _ in range(60):
            pair.sample(5)
            pair.sample(1, stream=1)
            pair.run(200, 20)
        pair.to_host.schedule = pair.to_board.schedule = None
        pair.run(40000, 50)
        assert pair.is_settled(), seed
        pair.check_all_accounted_for()
        assert pair.host.resend_requests_total > 0, seed
