"""The machine that is played holds drivers to what a board would hold them to."""

from check import micropython, raises
from fakes.machine import Machine, Reset

HEAP_KB_MIN = 192  # the machine and the chips that are played are larger than the node


def test_interrupt_that_takes_heap_is_noticed():
    machine = Machine()
    pin = machine.Pin(3, machine.Pin.IN, machine.Pin.PULL_UP)
    taken = []
    pin.irq(lambda pin: taken.append([pin] * 100), machine.Pin.IRQ_FALLING, hard=True)
    timer = machine.Timer(-1, period=10, callback=lambda timer: taken.append([timer] * 100))
    if micropython is not None:
        raises(MemoryError, pin.drive, 0)
        raises(MemoryError, timer.fire)
        assert taken == []
        return
    pin.drive(0)
    timer.fire()
    assert len(taken) == 2


def test_heap_is_free_again_behind_an_interrupt():
    machine = Machine()
    pin = machine.Pin(3, machine.Pin.IN, machine.Pin.PULL_UP)
    seen = []

    def fail(pin):
        raise ValueError()

    pin.irq(fail, machine.Pin.IRQ_FALLING, hard=True)
    raises(ValueError, pin.drive, 0)
    seen.append([1] * 100)
    assert len(seen[0]) == 100


def test_edges_and_what_they_call():
    machine = Machine()
    for trigger, expected in ((4, [0, 0]), (8, [1, 1]), (12, [0, 1, 0, 1]), (0, [])):
        pin = machine.Pin(3, machine.Pin.IN, machine.Pin.PULL_UP)
        pin.drive(1)
        levels = bytearray(8)
        counts = bytearray(1)

        def note(pin, levels=levels, counts=counts):
            levels[counts[0]] = pin.value()
            counts[0] += 1

        pin.irq(note, trigger)
        for level in (0, 0, 1, 1, 0, 1):
            pin.drive(level)
        assert list(levels[: counts[0]]) == expected, trigger


def test_what_a_port_refuses():
    machine = Machine("esp32", has_hard_irq=False)
    raises(TypeError, lambda: machine.Pin(3).irq(None, 4, hard=True))
    raises(ValueError, machine.Pin, 40)
    raises(ValueError, machine.I2C, 2)
    raises(ValueError, machine.ADC, machine.Pin(3))
    raises(ImportError, machine.load, "onewire")
    raises(Reset, machine.reset)
