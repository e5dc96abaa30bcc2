"""All sensors at once and whatever can befall them, at random: they all come back."""

from struct import pack

from check import numbers_from
from fakes.chips import Bh1750, Bme280, Dht22, Ds18b20, Ina219, OneWireModule, Sht3x
from pyv_edge_node.sensors.sht3x import crc8
from sensor_bench import BAD, SensorBench, i2c, rp2

HEAP_KB_MIN = 256  # every driver, every chip that is played, and the node in one heap

_STEP_MS = 700  # no multiple of an interval
_STEPS = 600


class _Site:
    """A board with one of each, and what can be done to them."""

    def __init__(self):
        machine = self.machine = rp2()
        clock = machine.clock
        self.lines = machine.lines(4, 5)
        bme = Bme280(clock, pack("<HhhH8h", 27504, 26435, -1000, 36477, *_PRESSURE))
        bme._fixed[0xD0] = 0x58
        bme.power_cycle()
        bme.set_raw(415148, 519888)
        sht = Sht3x(clock)
        pair = bytearray(b"\x66\x66")
        pair.append(crc8(pair, 0, 2))
        sht.set_data(pair + pair)
        light, power = Bh1750(clock), Ina219(clock)
        light.raw, power.bus_mv = 1200, 5000
        self.chips = [bme, sht, light, power]
        self.lines.chips.extend(self.chips)
        self.probes = [Ds18b20(clock, bytes([index] * 6)) for index in range(2)]
        machine.modules["onewire"] = OneWireModule()
        self.wire = machine.modules["onewire"].attach(15, self.probes)
        machine.attach_dht(16, Dht22(b"\x02\x8c\x01\x5f\xee"))
        machine.adc(4).raw = 14021
        self.bench = SensorBench(
            machine,
            {"type": "digital_input", "interval_ms": 100, "pin": 8},
            {"type": "pulse_counter", "interval_ms": 1000, "pin": 9},
            {"type": "adc", "interval_ms": 250, "pin": 26, "raw_max": 65000},
            {"type": "mcu_temperature", "interval_ms": 5000},
            {"type": "dht22", "interval_ms": 2000, "pin": 16, "prefix": "room"},
            {
                "type": "ds18b20",
                "interval_ms": 1000,
                "pin": 15,
                "addresses": [probe.rom.hex() for probe in self.probes],
            },
            i2c("bme280", 500, chip="bmp280", prefix="out"),
            i2c("sht3x", 300, prefix="in"),
            i2c("bh1750", 400),
            i2c("ina219", 200),
        )

    def disturb(self, number):
        machine = self.machine
        chip = self.chips[number % 4]
        probe = self.probes[number % 2]
        kind = number // 4 % 12
        if kind == 0:
            chip.is_absent = not chip.is_absent
        elif kind == 1:
            chip.power_cycle()
        elif kind == 2:
            chip.stuck = (0x00, 0xFF, -1, -1)[number // 64 % 4]
        elif kind == 3 and not self.lines.sda.held:
            self.lines.hang(1 + number // 64 % 9)
        elif kind == 4:
            probe.is_absent = not probe.is_absent
        elif kind == 5:
            probe.damage ^= 1 << number // 64 % 8
        elif kind == 6:
            probe.power_cycle()
        elif kind == 7:
            self.wire.is_grounded = not self.wire.is_grounded
        elif kind == 8:
            data = None if number & 64 else bytes([number >> 7 & 0xFF] * 5)
            machine.attach_dht(16, None if data is None else Dht22(data))
        elif kind == 9:
            machine.adc(26).raw = number
        elif kind == 10:
            machine.Pin(8).drive(number & 1)
            machine.Pin(9).drive(number >> 1 & 1)
        else:
            machine.clock.advance(number // 64)  # the loop was busy

    def mend(self):
        for chip in self.chips:
            chip.is_absent = False
            chip.stuck = -1
        for probe in self.probes:
            probe.is_absent = False
            probe.damage = 0
        self.wire.is_grounded = False
        self.machine.attach_dht(16, Dht22(b"\x02\x8c\x01\x5f\xee"))
        self.machine.adc(26).raw = 1000


_PRESSURE = (-10685, 3024, 2855, 140, -7, 15500, -14600, 6000)


def test_they_come_back_from_anything():
    for seed in (1, 2, 3):
        site = _Site()
        bench = site.bench
        numbers = numbers_from(seed)
        failed = set()
        for _ in range(_STEPS):
            site.disturb(next(numbers))
            bench.play(_STEP_MS)
            for channel in range(len(bench.names)):
                if bench.qualities[channel] == BAD:
                    failed.add(bench.names[channel])
        assert sum(bench.counts) == bench.sampler.sampled_total, seed
        assert bench.errors_total > 100 and len(failed) >= 12, (seed, failed)
        assert bench.board.wiring.recoveries_total > 0
        site.mend()
        bench.play(10_000)  # the longest interval, twice
        assert bench.bad() == [], (seed, [bench.names[index] for index in bench.bad()])
        errors = bench.errors_total
        bench.play(10_000)
        assert bench.errors_total == errors
