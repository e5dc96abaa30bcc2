"""Numbers and durations as people write them: exact, or refused."""

from check import raises
from pyv_edge_core.errors import FieldError
from pyv_edge_core.quantity import (
    DURATION_MS_MAX,
    decimal,
    duration_ms,
    ratio,
    scaled,
    show,
    show_ms,
)


def test_decimals_are_exact_and_short():
    cases = (
        (0, (0, 0)),
        (30, (30, 0)),
        (-7, (-7, 0)),
        (30.1, (301, 1)),
        (-0.5, (-5, 1)),
        (0.1, (1, 1)),
        (5.0, (5, 0)),
        ("101325.37", (10132537, 2)),
        ("1.10", (11, 1)),
        ("-0.50", (-5, 1)),
        ("-0", (0, 0)),
        ("+3", (3, 0)),
        (".5", (5, 1)),
        ("5.", (5, 0)),
        ("007", (7, 0)),
        ("1e3", (1000, 0)),
        ("1E3", (1000, 0)),
        ("1.5e3", (1500, 0)),
        ("1.5e+1", (15, 0)),
        ("1.25e1", (125, 1)),
        ("25e-1", (25, 1)),
        ("100e-2", (1, 0)),
        ("0.000", (0, 0)),
        ("1e30", (10**30, 0)),
        ("1e-30", (1, 30)),
        ("12345678901234567890123456789012", (12345678901234567890123456789012, 0)),
    )
    for number, expected in cases:
        assert decimal(number) == expected, number


def test_what_is_no_decimal_is_refused():
    numbers = [True, False, None, [], {}, b"1", "", " ", "x", "e", ".", "-", "+", "--1", "+-1"]
    numbers += ["1e", "1e+", "e5", ".e5", "1e--5", "1e1.5", "1.2.3", "1,5", " 1", "1 ", "0x10"]
    numbers += ["1_000", "nan", "inf", "-inf", "infinity", "1e31", "1e-31", "1e99999999", "9" * 33]
    numbers += [float("nan"), float("inf"), -float("inf"), 10**40, "\u0661"]
    for number in numbers:
        text = str(raises(FieldError, decimal, number))
        assert text == "%r is not a number (at most 1e30, 32 characters)" % (number,), number


def test_decimals_are_shown_as_people_write_them():
    for number in ("0", "30.1", "-0.5", "0.001", "-12.345", "1000", "101325.37", "-1"):
        assert show(decimal(number)) == number
    assert show((5, 3)) == "0.005"
    assert show((-12345, 3)) == "-12.345"
    for length_ms, text in ((0, "0 s"), (1, "0.001 s"), (1500, "1.5 s"), (60000, "60 s")):
        assert show_ms(length_ms) == text
    assert show_ms(DURATION_MS_MAX) == "259200 s"


def test_ratio_in_units_of_a_channel():
    cases = (
        ("30.1", -1, (301, 1)),
        ("30.1", -2, (3010, 1)),
        ("30.1", 0, (301, 10)),
        ("30.1", 1, (301, 100)),
        ("30.05", -1, (3005, 10)),
        ("-0.5", 0, (-5, 10)),
        ("7", -9, (7000000000, 1)),
        ("7", 9, (7, 1000000000)),
    )
    for number, exponent, expected in cases:
        assert ratio(decimal(number), exponent) == expected, (number, exponent)


def test_rounding_is_up_or_down_to_a_whole_one():
    cases = (
        ("30.05", -1, 300, 301),
        ("30.1", -1, 301, 301),
        ("-30.05", -1, -301, -300),
        ("0", -1, 0, 0),
        ("99", 2, 0, 1),
        ("-99", 2, -1, 0),
    )
    for number, exponent, down, up in cases:
        level = decimal(number)
        assert (scaled(level, exponent, False), scaled(level, exponent, True)) == (down, up), level


def test_durations():
    cases = (
        (0, 0),
        (1, 1000),
        (0.25, 250),
        (1.5, 1500),
        ("10", 10000),
        ("0.001", 1),
        ("250ms", 250),
        ("10s", 10000),
        ("5m", 300000),
        ("2h", 7200000),
        ("1d", 86400000),
        ("1.5h", 5400000),
        ("5 m", 300000),
        ("1e3ms", 1000),
        ("0s", 0),
        ("3d", DURATION_MS_MAX),
        (259200, DURATION_MS_MAX),
    )
    for value, expected in cases:
        assert duration_ms(value) == expected, value


def test_what_is_no_duration_is_refused():
    for value in (-1, "-1s", "0.5ms", 0.0005, "1x", "m", "", None, True, [], "1 m s", "5M", "nan"):
        text = str(raises(FieldError, duration_ms, value))
        expected = '%r is not a duration: seconds, or "250ms", "10s", "5m"; whole ms' % (value,)
        assert text == expected, value
    for value in ("259200001ms", "73h", "4d", 259201, "1e30"):
        assert str(raises(FieldError, duration_ms, value)) == "%r is longer than 3 days" % (value,)
