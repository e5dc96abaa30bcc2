"""Windows, rollups and exact decimals, for operations.py."""

from pyv_edge_core import quantity
from pyv_edge_core.window import Rollup, Window
from script import Subject, nothing


def _summary(summary):
    return (
        summary.count,
        summary.bad_count,
        summary.total,
        summary.low,
        summary.high,
        summary.last,
        summary.last_ms,
    )


WINDOW = Subject(
    "window",
    Window,
    lambda window: (_summary(window.total), window.late_total),
    {"add": Window.add, "is_over": Window.is_over, "restart": Window.restart},
    ("FieldError",),
)

ROLLUP = Subject(
    "rollup",
    Rollup,
    len,
    {
        "add": Rollup.add,
        "buckets": lambda rollup: [(start, _summary(one)) for start, one in rollup.buckets()],
    },
    (),
)


def _scaled(_, number, exponent, is_up):
    number = quantity.decimal(number)
    return quantity.scaled(number, exponent, is_up), quantity.ratio(number, exponent)


QUANTITY = Subject(
    "quantity",
    lambda: None,
    nothing,
    {
        "decimal": lambda _, number: quantity.decimal(number),
        "show": lambda _, number: quantity.show(quantity.decimal(number)),
        "show_ms": lambda _, length_ms: quantity.show_ms(length_ms),
        "scaled": _scaled,
        "duration_ms": lambda _, value: quantity.duration_ms(value),
    },
    ("FieldError",),
)
