"""A month of a board in one go: the ticks wrap twice, and milliseconds leave 31 bits behind."""

import gc

from fake_board import WRAP, FakeBoard, FakeFlash, FakePort, make_settings, read_ring, simulated
from pyv_edge_node.app import App

HEAP_KB_MIN = 192

_DAY_S = 86400
_STEP_S = 60
_DAYS = 30


def test_thirty_days_are_sampled_on_time_and_counted():
    # CPython has far more than a board to look through when the node collects its garbage.
    freeze = getattr(gc, "freeze", None)
    if freeze is not None:
        freeze()
    try:
        _check_thirty_days()
    finally:
        if freeze is not None:
            gc.unfreeze()


def _check_thirty_days():
    start_ms = WRAP - 1000  # the first wrap comes at once
    board = FakeBoard(start_ms)
    sensor = simulated("a", _STEP_S * 1000, low=5, high=5)
    config = make_settings(sensor, telemetry_capacity=64, vitals_interval_ms=3_600_000)
    app = App(config, board, FakePort(0), FakeFlash())
    steps = _DAYS * _DAY_S // _STEP_S
    app.step()
    for _ in range(steps):
        board.now_ms += _STEP_S * 1000
        app.step()
    assert board.now_ms - start_ms > 2 * WRAP
    assert (app.uptime.s, app.uptime.ms) == (_DAYS * _DAY_S, 0)
    assert app.sampler.sampled_total == steps + 1
    assert (app.sampler.late_total, app.errors_total) == (0, 0)
    ring = app.telemetry
    assert ring.next_seq == steps + 1
    assert ring.dropped_total == steps + 1 - len(ring)
    taken_ms = [entry[3] for entry in read_ring(ring)]
    assert taken_ms[-1] == _DAYS * _DAY_S * 1000
    assert taken_ms == [taken_ms[-1] - _STEP_S * 1000 * n for n in range(len(ring))][::-1]
