"""Writes the table of a link's states into ARCHITECTURE.md: `make docs`."""

from pathlib import Path

from generated import put_in
from pyv_edge_agent import link_state

DOCUMENT = Path(__file__).resolve().parents[1] / "ARCHITECTURE.md"


def table_of(table, states):
    """Return the table as Markdown: a row for what happens, a column for each state."""
    lines = ["| | " + " | ".join(states) + " |", "|---" * (len(states) + 1) + "|"]
    for event, row in table.items():
        cells = [_cell(*row[state]) if state in row else "" for state in states]
        lines.append(f"| {event} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(state, wait):
    return state if wait == link_state.AT_ONCE else f"{state}, {wait}"


def generate(document, table=link_state.TABLE, states=link_state.STATES):
    """Return the text of `document` with the table as it is now."""
    return put_in(document, "link states", f"\n{table_of(table, states)}\n\n")


if __name__ == "__main__":
    DOCUMENT.write_text(generate(DOCUMENT.read_text()))
