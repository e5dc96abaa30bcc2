"""Writes the accepted differences of the interpreters into CONTRIBUTING.md: `make docs`."""

import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parent
DOCUMENT = TESTS.parent / "CONTRIBUTING.md"
BEGIN = "<!-- from tests/differential/accepted.py by `make docs`: begin -->\n"
END = "<!-- end -->\n"


def table_of(accepted):
    """Return the list as Markdown."""
    lines = ["| of | difference | why it is accepted |", "|---|---|---|"]
    lines += [f"| {entry.subject} | {entry.what} | {entry.reason} |" for entry in accepted]
    return "\n".join(lines)


def put_in(document, table):
    """Return the text of `document` with `table` between its markers."""
    before, rest = document.split(BEGIN)
    after = rest.split(END)[1]
    return f"{before}{BEGIN}\n{table}\n\n{END}{after}"


def main():
    sys.path[:0] = [str(TESTS / "differential")]
    from accepted import ACCEPTED

    DOCUMENT.write_text(put_in(DOCUMENT.read_text(), table_of(ACCEPTED)))


if __name__ == "__main__":
    main()
