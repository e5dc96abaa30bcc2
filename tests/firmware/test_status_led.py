"""What the light on a board shows in each state."""

from check import without_heap
from pyv_edge_node.status_led import HOSTLESS, SAFE, UP, StatusLed


class _Pin:
    def __init__(self):
        self.states = []

    def value(self, state):
        self.states.append(state)


def _second(led, pin, state, start_ms):
    """Return the light over a second, a sign for each tenth of it."""
    shown = ""
    for tenth in range(10):
        led.show(state, (start_ms + tenth * 100 + 50) & 0x3FFFFFFF)
        shown += "x" if pin.states[-1] else "."
    return shown


def test_each_state_has_its_pattern():
    pin = _Pin()
    led = StatusLed(pin)
    assert _second(led, pin, HOSTLESS, 5000) == "xxxxxxxxx."
    assert _second(led, pin, UP, 6000) == "x........."
    assert _second(led, pin, SAFE, 7000) == "x.x......."


def test_board_that_is_asked_for_blinks_for_ten_seconds():
    pin = _Pin()
    led = StatusLed(pin)
    start_ms = 0x3FFFFFFF - 3000  # the ticks wrap meanwhile
    led.identify(start_ms)
    shown = "".join([_second(led, pin, UP, start_ms + 1000 * n) for n in range(10)])
    assert shown.count("x") in range(45, 56), shown
    assert _second(led, pin, UP, 20000) == "x........."


def test_pin_is_written_when_something_changes_only():
    pin = _Pin()
    led = StatusLed(pin)
    for now_ms in range(0, 1000, 10):
        led.show(UP, now_ms)
    assert pin.states == [1, 0]


def test_light_takes_no_heap():
    class Pin:
        def value(self, state):
            pass

    led = StatusLed(Pin())
    led.identify(0)
    led.show(UP, 0)

    def rounds():
        for now_ms in range(0, 20000, 50):
            led.show(UP, now_ms)

    without_heap(rounds)
