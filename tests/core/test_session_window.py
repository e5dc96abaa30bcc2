"""Both ends of the link against each other: windows, and which stream goes first."""

from pair import Pair, pair_that_is_up
from pyv_edge_core import message
from pyv_edge_core.frame import encode

HEAP_KB_MIN = 256  # a board, its host and the wires between them: more than a board holds


def test_window_limits_what_is_unacknowledged():
    for window in (1, 16, 40):
        pair = pair_that_is_up(window=window)
        pair.is_committing = False
        pair.sample(100)
        pair.run(2000)
        taken = sum([len(batch.records) // 8 for _, batch in pair.store.pending])
        assert taken == window, (window, taken)
        pair.is_committing = True
        pair.run(8000)
        assert pair.delivered() == list(range(100)), window
        assert pair.host.window_exceeded_total == 0, window


def test_host_refuses_what_is_beyond_its_window():
    pair = pair_that_is_up(window=16)
    pair.is_committing = False
    pair.sample(16)
    pair.run(300)
    raw = encode(message.pack_data(pair.device.tag, 0, 16, 0, 0, bytes(16)))
    assert pair.host.receive(raw, pair.now_ms) == []
    assert pair.host.window_exceeded_total == 2


def test_events_leave_before_telemetry():
    pair = Pair()
    pair.is_welcoming = False
    pair.step()
    pair.sample(64)
    pair.sample(32, stream=1)
    pair.run(50)
    pair.welcome(pair.boot)
    pair.run(500)
    assert pair.to_host.streams() == [1, 1, 0, 0, 0, 0]
    pair.check_all_accounted_for()


def test_event_overtakes_a_backlog():
    pair = pair_that_is_up(telemetry=512, window=512)
    pair.sample(400)
    pair.step()  # eight frames leave in one step
    pair.sample(16, stream=1)
    pair.run(100)
    streams = pair.to_host.streams()
    assert streams.index(1) == 8
    assert streams.count(0) == 25
