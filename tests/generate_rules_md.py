"""Writes the truth table into RULES.md, from tests/core/truth_table.py: `make docs`."""

import json
import sys
from pathlib import Path

from generated import put_in

TESTS = Path(__file__).resolve().parent
DOCUMENT = TESTS.parent / "RULES.md"


def inline(table):
    """Return a table as TOML has it on one line."""
    pairs = [f"{key} = {json.dumps(value)}" for key, value in table.items()]
    return "{ " + ", ".join(pairs) + " }"


def _what_comes(what):
    if what == "tick":
        return "nothing"
    what, taken = what if isinstance(what, tuple) else (what, None)
    shown = "a bad reading" if what == "bad" else str(what)
    return shown if taken is None else f"{shown}, taken at {taken} s"


def table_of(cases):
    """Return the truth table as Markdown."""
    lines = []
    for title, rule, steps in cases:
        lines += [
            f"**{title}**: `{inline(rule)}`",
            "",
            "| at | comes | state | event |",
            "|---|---|---|---|",
        ]
        for seconds, what, state, event in steps:
            lines.append(f"| {seconds} s | {_what_comes(what)} | {state} | {event} |")
        lines.append("")
    return "\n".join(lines)


def generate(document, cases):
    """Return the text of `document` with the truth table as it is now."""
    return put_in(document, "truth table", f"\n{table_of(cases)}\n")


def main():
    sys.path[:0] = [str(TESTS / "core")]
    from truth_table import CASES

    DOCUMENT.write_text(generate(DOCUMENT.read_text(), CASES))


if __name__ == "__main__":
    main()
