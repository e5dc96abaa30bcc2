"""Writes the accepted differences of the interpreters into CONTRIBUTING.md: `make docs`."""

import sys
from pathlib import Path

from generated import put_in

TESTS = Path(__file__).resolve().parent
DOCUMENT = TESTS.parent / "CONTRIBUTING.md"


def table_of(accepted):
    """Return the list as Markdown."""
    lines = ["| of | difference | why it is accepted |", "|---|---|---|"]
    lines += [f"| {entry.subject} | {entry.what} | {entry.reason} |" for entry in accepted]
    return "\n".join(lines)


def generate(document, accepted):
    """Return the text of `document` with the list as it is now."""
    return put_in(document, "accepted differences", f"\n{table_of(accepted)}\n\n")


def main():
    sys.path[:0] = [str(TESTS / "differential")]
    from accepted import ACCEPTED

    DOCUMENT.write_text(generate(DOCUMENT.read_text(), ACCEPTED))


if __name__ == "__main__":
    main()
