"""Boards with a chip, on a `machine` that is played: identity, resets, watchdog, light, UART."""

from check import raises
from fakes.machine import Machine, Reset
from pyv_edge_node.board.esp32 import Esp32
from pyv_edge_node.board.machine_board import MachineBoard
from pyv_edge_node.board.rp2 import Rp2
from pyv_edge_node.sensors import open_sensor
from pyv_edge_node.settings import Section, SettingsError

_PICO = "Raspberry Pi Pico W with RP2040"
_PICO_2 = "Raspberry Pi Pico 2 with RP2350"
_POWER, _WATCHDOG, _SOFT, _SLEEP = 1, 3, 4, 5  # message_to_host.RESET_CAUSES


def _pico(model=_PICO):
    machine = Machine("rp2")
    return machine, MachineBoard(machine, Rp2(machine, model), machine.clock)


def _esp32():
    machine = Machine("esp32")
    return machine, MachineBoard(machine, Esp32(machine, "Generic ESP32"), machine.clock)


def test_who_it_is():
    for (_, board), name in ((_pico(), "rp2"), (_esp32(), "esp32")):
        assert (board.name, board.unique_id()) == (name, "0123456789abcdef")


def test_reset_causes_of_each_chip():
    machine, board = _pico()
    for cause, expected in ((1, _POWER), (3, _WATCHDOG)):
        machine.cause = cause
        assert board.reset_cause() == expected
    machine, board = _esp32()
    causes = ((1, _POWER), (2, 0), (3, _WATCHDOG), (4, _SLEEP), (5, _SOFT), (9, 0))
    for cause, expected in causes:
        machine.cause = cause
        assert board.reset_cause() == expected, cause


def test_watchdog_runs_from_its_start_and_is_fed():
    for machine, board in (_pico(), _esp32()):
        board.feed()  # before it runs that does nothing
        assert machine.watchdog is None
        board.start_watchdog(8000)
        board.feed()
        board.feed()
        assert (machine.watchdog.timeout_ms, machine.watchdog.feeds_total) == (8000, 2)


def test_watchdog_of_a_pico_is_disabled_at_its_register():
    for model, base in ((_PICO, 0x40058000), (_PICO_2, 0x400D8000)):
        machine, board = _pico(model)
        board.stop_watchdog()
        assert machine.mem32 == {}  # it did not run
        board.start_watchdog(8000)
        board.stop_watchdog()
        assert machine.mem32 == {base + 0x3000: 1 << 30}
        feeds = machine.watchdog.feeds_total
        board.feed()
        assert machine.watchdog.feeds_total == feeds


def test_watchdog_of_an_esp32_gets_a_day():
    machine, board = _esp32()
    board.start_watchdog(8000)
    board.stop_watchdog()
    assert machine.watchdog.timeout_ms == 86_400_000


def test_light_is_the_boards_own_or_a_pin_or_none():
    machine, board = _pico()
    board.led("board").value(1)
    assert machine.Pin("LED").value() == 1
    board.led("15").value(1)
    assert machine.Pin(15).value() == 1
    assert board.led("") is None
    raises(ValueError, board.led, "99")
    assert _esp32()[1].led("board") is None


def test_link_can_be_a_uart_with_room_for_what_comes_meanwhile():
    machine, board = _pico()
    reader, writer = board.link_uart(1, 4, 5, 115200)
    assert reader is writer
    uart = machine.uarts[0]
    assert (uart.number, uart.baud) == (1, 115200)
    assert uart.options == {"tx": 4, "rx": 5, "rxbuf": 1024, "txbuf": 1024}
    raises(ValueError, board.link_uart, 7, 4, 5, 115200)


def test_pins_of_the_light_and_the_link_are_no_sensors():
    _, board = _pico()
    settings = Section({}, "device.json")
    board.claim(settings, "led", 26)  # no sensor has pins yet: nothing is loaded for that
    section = Section({"channel": "soil", "pin": 26}, "device.json.sensors[0]")
    open_sensor("adc", section, board)
    board.claim(settings, "led", 25)
    error = raises(SettingsError, board.claim, settings, "uart.tx", 26)
    assert str(error) == "device.json.uart.tx: 26 is taken by device.json.sensors[0]"
    error = raises(SettingsError, board.claim, settings, "uart.rx", 25)
    assert str(error) == "device.json.uart.rx: 25 is taken by device.json.led"


def test_ticks_are_those_of_every_board():
    _, board = _pico()
    before = board.ticks_ms()
    board.sleep_ms(1500)
    assert (board.ticks_ms() - before) & 0x3FFFFFFF == 1500


def test_reset_boots_anew():
    raises(Reset, _pico()[1].reset)


def test_sensors_get_their_pins_from_it():
    machine, board = _pico()
    values = {"channel": "soil", "pin": 26}
    sensor = open_sensor("adc", Section(values, "device.json.sensors[0]"), board)
    machine.adc(26).raw = 1000
    sensor.measure(0, 0)
    assert len(sensor.values) == 1
