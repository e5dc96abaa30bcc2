"""Writes what readings take into OPERATIONS.md, as a table and as an example: `make docs`."""

from pathlib import Path

from generated import put_in
from pyv_edge_agent.cli import make_parser, size
from pyv_edge_agent.config import Config
from pyv_edge_agent.sizing import YEAR_DAYS, Load, card_years, show_size

DOCUMENT = Path(__file__).resolve().parents[1] / "OPERATIONS.md"
RATES_HZ = (1, 10, 100, 1000)
CARD_GB, CYCLES = 32, 1000
_HEAD = (
    *("readings a second", "written for a reading", "to the card, a day", "in the file, a day"),
    *("a year", f"a card of {CARD_GB} GB and {CYCLES} cycles lasts"),
)


def table():
    """Return the table as Markdown, a row for each rate."""
    lines = ["| " + " | ".join(_HEAD) + " |", "|---" * len(_HEAD) + "|"]
    for rate_hz in RATES_HZ:
        load = Load(rate_hz)
        cells = [
            f"{rate_hz}",
            show_size(load.written_per_reading),
            show_size(load.written_per_day),
            show_size(load.stored_per_day),
            show_size(load.stored_per_day * YEAR_DAYS),
            f"{card_years(load, CARD_GB, CYCLES):.1f} years",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def example():
    """Return what `pyv-edge-host size` says with the options of the example."""
    words = ["size", "--rate", "100", "--boards", "4"]
    args = make_parser(["size"]).parse_args(words)
    lines = [f"$ pyv-edge-host {' '.join(words)}", *size.lines(size.sizes(args, Config(), None))]
    return "```text\n" + "\n".join(lines) + "\n```\n"


def generate(document):
    """Return the text of `document` with both as they are now."""
    return put_in(put_in(document, "sizes", f"\n{table()}\n\n"), "size", example())


if __name__ == "__main__":
    DOCUMENT.write_text(generate(DOCUMENT.read_text()))
