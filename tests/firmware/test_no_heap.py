"""Sampling and buffering allocate nothing, with everything that a board can be told to do.

On MicroPython the heap is locked, so that any allocation raises MemoryError. On
CPython the same rounds are an ordinary check of the same counts.
"""

import check
from check import raises, without_heap
from fake_board import WRAP, Bench, simulated
from pyv_edge_core.session import elapsed_ms

HEAP_KB_MIN = 192  # rules and privacy are half a board's heap

_WARM_UP_ROUNDS = 100
_ROUNDS = 1000
_ROUND_MS = 10
# Subtracted to move on, modulo WRAP: a sum may have 31 bits, which take heap on a board.
_BACK_MS = WRAP - _ROUND_MS
_FAR_BACK_MS = WRAP - 10 * _ROUND_MS

_PRIVACY = {
    "rules": [
        {"channel": "denied", "action": "drop"},
        {"channel": "coarse", "action": "quantize", "step": 0.5},
        {"channel": "limited", "action": "clamp", "low": 19.5, "high": "21.25"},
        {"device": "elsewhere", "action": "drop"},
        {"pattern": "*.fast", "action": "allow"},
    ]
}
# Four rules and one for each condition, so that every kind runs with the heap locked.
_RULES = [
    {"name": "hot", "above": 21, "clear": 20.5, "for": "50ms", "keep_for": "20ms"},
    {"name": "cold", "below": "19.05", "cooldown": "100ms"},
    {"name": "odd", "outside": [19, 21], "clear": [19.5, 20.5], "on_bad": "fire"},
    {"name": "gone", "missing": "20ms"},
    {"name": "steep", "rate_above": 0.5, "window": "1s", "sensor": "*.slow"},
    {"name": "stuck", "stuck": "30ms", "within": 0.02, "sensor": "*.slow"},
    {"name": "moved", "deadband": 0.1, "sensor": "*.slow"},
    {"name": "mean", "aggregate": "mean", "window": "1s", "above": 20, "sensor": "*.slow"},
    {
        "name": "most",
        "aggregate": "max",
        "window": "200ms",
        "step": "200ms",
        "above": 20,
        "sensor": "*.slow",
    },
]


class _Node(Bench):
    """What samples of a node, over the wrap of the ticks."""

    def __init__(self):
        super().__init__(
            simulated("fast", _ROUND_MS, low=2150, high=2150),
            simulated("noisy", _ROUND_MS, low=1900, high=2100, period_s=1, noise=5),
            simulated("slow", 3 * _ROUND_MS, low=1900, high=2100, period_s=2),
            simulated("denied", 3 * _ROUND_MS),
            simulated("coarse", 3 * _ROUND_MS, noise=9),
            simulated("limited", 3 * _ROUND_MS, noise=9),
            start_ms=WRAP - (_WARM_UP_ROUNDS + _ROUNDS // 2) * _ROUND_MS,
            capacity=64,  # so that it overflows too
            privacy=_PRIVACY,
            rules=_RULES,
        )

    def play(self, rounds):
        uptime = self.uptime
        count = 0
        while count < rounds:
            uptime.update(self.now_ms)
            while not self.run_once(self.now_ms):
                pass
            self.pipeline.tick(self.now_ms, uptime)
            self.now_ms = elapsed_ms(self.now_ms, _BACK_MS)
            count += 1


def test_thousand_rounds_need_no_heap():
    node = _Node()
    node.play(_WARM_UP_ROUNDS)

    def thousand_rounds():
        node.play(_ROUNDS)

    without_heap(thousand_rounds)
    rounds = _WARM_UP_ROUNDS + _ROUNDS
    third = (rounds + 2) // 3
    assert node.now_ms < WRAP // 2  # the ticks wrapped on the way
    assert node.uptime.s * 1000 + node.uptime.ms == (rounds - 1) * _ROUND_MS
    assert node.sampler.sampled_total == 2 * rounds + 4 * third
    assert node.sampler.late_total == 0
    assert node.pipeline.denied_total == third
    assert node.ring.next_seq == 2 * rounds + 3 * third
    assert node.ring.dropped_total == node.ring.next_seq - len(node.ring)


def test_a_ring_whose_readings_are_on_pages_too_needs_no_heap():
    node = _Node()
    node.play(_WARM_UP_ROUNDS)
    node.ring.saved_first = 0
    node.ring.saved_end = saved = node.ring.next_seq + 500

    def thousand_rounds():
        node.play(_ROUNDS)

    dropped = node.ring.dropped_total
    first = node.ring.first_seq
    without_heap(thousand_rounds)
    assert node.ring.first_seq > saved
    assert node.ring.dropped_total - dropped == node.ring.first_seq - saved
    assert first < saved


def test_every_rule_took_part():
    node = _Node()
    node.play(_WARM_UP_ROUNDS + _ROUNDS)
    fired = {}
    for watch in node.pipeline._watches:
        for alert in watch.alerts if watch is not None else ():
            fired[alert.rule.name] = fired.get(alert.rule.name, 0) + alert.fired_total
    assert sorted(fired) == sorted([rule["name"] for rule in _RULES])
    for name in fired:
        assert fired[name] or name == "gone", name  # sensors that are there are not missing
    assert node.pipeline.events_total == node.events.next_seq > 0


def test_late_rounds_need_no_heap():
    node = _Node()
    node.play(1)

    def late_rounds():
        count = 0
        while count < 100:
            node.now_ms = elapsed_ms(node.now_ms, _FAR_BACK_MS)
            node.play(1)
            count += 1

    without_heap(late_rounds)
    assert node.sampler.late_total > 0
    assert node.ring.next_seq + node.pipeline.denied_total == node.sampler.sampled_total == 606


def test_failing_sensors_need_no_heap():
    node = _Node()
    node.play(1)
    for turn in node.sampler._turns:  # there is no sensor type that fails on request
        turn.sensor = _Failing(turn.sensor)

    def hundred_rounds():
        node.play(100)

    without_heap(hundred_rounds)
    assert node.sampler.sensor_errors_total == 2 * 100 + 4 * 33
    assert node.ring.next_seq + node.pipeline.denied_total == node.sampler.sampled_total


class _Failing:
    """Fails each time, with an error made beforehand: what an error takes is its maker's."""

    def __init__(self, sensor):
        self.channels = sensor.channels
        self.values = sensor.values
        self.error = OSError(5)

    def measure(self, uptime_s, uptime_ms):
        raise self.error


def test_a_locked_heap_is_noticed():
    if check.micropython is not None:
        raises(MemoryError, without_heap, lambda: [check])
