"""How adapters are made and asked, and what is taken for a value."""

import math
import random
from decimal import Decimal
from fractions import Fraction

import pytest
from host.fakes import FakeClock, serial_device
from pyv_edge_agent.adapters import create_adapter, read_value
from pyv_edge_agent.adapters.serial import SerialAdapter
from pyv_edge_agent.config import Config
from pyv_edge_agent.errors import AdapterError
from pyv_edge_agent.types import SensorReading
from pyv_edge_core.ring import RingBuffer


class Giving:
    """An adapter with one method that gives one thing."""

    def __init__(self, thing, method="read"):
        setattr(self, method, lambda: thing)


READING = SensorReading("a", 0.0, 21.5)


@pytest.mark.parametrize("method", ["read", "generate_batch", "generate_reading"])
@pytest.mark.parametrize(
    "thing",
    [
        21.5,
        {"value": 21.5},
        READING,
        [1.0, 21.5],
        (1.0, 21.5),
        [{"value": 1}, {"value": 21.5}],
        [[{"value": 1}, {"value": 21.5}]],
        [SensorReading("a", 0.0, 1.0), READING],
    ],
    ids=repr,
)
def test_every_shape_of_a_value_is_understood(method, thing):
    assert read_value(Giving(thing, method)) == 21.5


def test_int_is_a_number_and_becomes_a_float():
    value = read_value(Giving(3))
    assert value == 3.0
    assert type(value) is float


def test_iterator_gives_its_next_value():
    numbers = iter([1.5, {"value": 2.5}, READING])
    adapter = Giving(numbers)
    assert [read_value(adapter) for _ in range(3)] == [1.5, 2.5, 21.5]
    with pytest.raises(AdapterError, match="no reading"):
        read_value(adapter)


def test_generator_method_gives_the_first_of_a_new_one_each_time():
    class Generating:
        def read(self):
            yield {"value": 1.5}
            yield {"value": 2.5}

    assert read_value(Generating()) == 1.5
    assert read_value(Generating()) == 1.5


@pytest.mark.parametrize(
    "thing",
    [
        None,
        True,
        False,
        "21.5",
        b"21.5",
        math.nan,
        math.inf,
        -math.inf,
        1j,
        Decimal("1.5"),
        {1.5},
        "value",
        {"value": {"value": 1.5}},
        pytest.param(object(), id="object()"),
        [],
        (),
        {},
        {"reading": 1.5},
        {"value": None},
        {"value": "1.5"},
        {"value": math.nan},
        [1.5, None],
        [[[[[1.5]]]]],
        pytest.param(iter([]), id="iter([])"),
        SensorReading("a", 0.0, math.inf),
        10**400,
    ],
    ids=lambda thing: repr(thing)[:30],
)
def test_what_is_no_finite_number_is_refused(thing):
    with pytest.raises(AdapterError):
        read_value(Giving(thing))


def test_methods_are_tried_in_order_and_only_if_callable():
    class Odd:
        read = 5

        def generate_reading(self):
            return 2.0

    assert read_value(Odd()) == 2.0
    with pytest.raises(AdapterError, match="object has none of read, generate_batch"):
        read_value(object())


def test_first_of_the_methods_decides_also_if_it_has_nothing():
    class All:
        def __init__(self, found):
            self.found = found

        def read(self):
            return self.found

        def generate_batch(self):
            return [[{"value": 2.0}]]

        def generate_reading(self):
            return {"value": 3.0}

    assert read_value(All(1.0)) == 1.0
    with pytest.raises(AdapterError):
        read_value(All(None))
    All.read = None
    assert read_value(All(1.0)) == 2.0
    All.generate_batch = 5
    assert read_value(All(1.0)) == 3.0


def test_what_is_no_method_of_its_own_is_called_all_the_same():
    class Odd:
        read = staticmethod(lambda: 1.5)

    assert read_value(Odd()) == 1.5

    class Lazy:
        def __getattr__(self, name):
            if name != "generate_reading":
                raise AttributeError(name)
            return lambda: Fraction(5, 2)

    assert read_value(Lazy()) == 2.5


def test_batch_may_come_as_a_generator_of_rounds():
    class Batch:
        def generate_batch(self):
            yield [{"value": 1.5}, {"value": 2.5}]
            yield [{"value": 3.5}]

    assert read_value(Batch()) == 2.5


def test_method_that_wants_arguments_is_an_error_of_its_own():
    class Odd:
        def read(self, channel):
            return 1.5

    with pytest.raises(TypeError, match="channel"):
        read_value(Odd())


def test_reading_whose_value_cannot_be_had_is_an_error_of_its_own():
    class Broken:
        @property
        def value(self):
            raise OSError("bus error")

    with pytest.raises(OSError, match="bus error"):
        read_value(Giving(Broken()))


def test_error_of_the_adapter_passes_through():
    class Broken:
        def read(self):
            raise ConnectionResetError("by peer")

    with pytest.raises(ConnectionResetError, match="by peer"):
        read_value(Broken())


# -- making them -------------------------------------------------------------------


def device(**keys):
    config = Config({"sensors": {"devices": [{"name": "d", **keys}]}})
    return config.get("sensors", "devices")[0]


def test_simulator_gets_the_settings_of_its_device():
    adapter = create_adapter(
        device(ingest_type="simulator", baseline=5.0, noise_std=0.0, unit="V", seed=3), FakeClock()
    )
    reading = adapter.generate_reading()
    assert (reading["sensor_name"], reading["value"], reading["unit"]) == ("d", 5.0, "V")
    assert read_value(adapter) == 5.0


def test_serial_adapter_opens_nothing():
    adapter = create_adapter(device(ingest_type="serial", port="/dev/no/such"), FakeClock())
    assert type(adapter) is SerialAdapter
    assert adapter.is_pushing
    assert adapter.link is None


def test_unknown_kind_is_refused():
    with pytest.raises(AdapterError, match="'telepathy'"):
        create_adapter({"name": "d", "ingest_type": "telepathy"}, FakeClock())


def test_serial_adapter_reads_the_latest_value_that_came():
    adapter = SerialAdapter(serial_device("d"))
    with pytest.raises(AdapterError, match="nothing has come"):
        adapter.read()
    adapter.buffer = RingBuffer(10)
    with pytest.raises(AdapterError, match="nothing has come"):
        adapter.read()
    adapter.buffer.append(1.5)
    adapter.buffer.append(2.5)
    assert read_value(adapter) == 2.5


def test_serial_adapter_makes_its_link():
    adapter = SerialAdapter(serial_device("d"))
    link = adapter.open_link(FakeClock(), random.Random(1), lambda link, event: True)
    assert link is adapter.link
    status = link.status()
    assert (status["name"], status["port"], status["opens_total"]) == ("d", "/dev/no/such", 0)
