"""Finds what the documents show: fenced blocks, and commands in the text.

What a reader would see in another way than a test is an AssertionError: a fence or a backtick
that is not closed, code that is only indented. Blocks between the comments of
`generated.put_in` know the name of that part.
"""

import ast
import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
FENCE = re.compile(r"^\s*(?:```|~~~)(.*)$")
PART = re.compile(r"^<!-- (begin|end) (.+) -->$")


class Block(NamedTuple):
    """A fenced block of a document."""

    document: str
    line: int
    heading: str
    language: str
    made: str  # the part that `make docs` writes, "" for what is written by hand
    text: str

    def __str__(self):
        return f"{self.document}:{self.line}"


def blocks(document):
    """Return the blocks of a document, given by its name."""
    return _read(document)[0]


def snippets(document):
    """Return (line number, text) of everything between backticks."""
    found = []
    for first, paragraph in _paragraphs(_read(document)[1]):
        assert paragraph.count("`") % 2 == 0, f"{document}:{first}: a backtick is not closed"
        for one in re.finditer(r"`([^`]+)`", paragraph):
            text = " ".join(one[1].split())
            found.append((first + paragraph[: one.start()].count("\n"), text))
    return found


def inline(document, starts):
    """Return (line number, text) of the snippets that begin with one of these programs."""
    found = [(number, text.removeprefix("sudo ")) for number, text in snippets(document)]
    return [one for one in found if one[1].split()[:1] and one[1].split()[0] in starts]


def _paragraphs(prose):
    """Return (number of the first line, text) of each paragraph."""
    found = []
    before = ""
    for number, line in prose:
        if line.strip() and before.strip():
            found[-1] = (found[-1][0], f"{found[-1][1]}\n{line}")
        elif line.strip():
            found.append((number, line))
        before = line
    return found


def _read(document):
    found, prose = [], []
    heading = made = ""
    opened = None
    for number, line in enumerate((ROOT / document).read_text("utf-8").splitlines(), 1):
        fence = FENCE.match(line)
        if opened is not None:
            if fence is None:
                opened[-1].append(line)
                continue
            assert not fence[1], f"{document}:{number}: a fence is opened within a block"
            *head, lines = opened
            found.append(Block(*head, "".join(f"{one}\n" for one in lines)))
            opened = None
        elif fence is not None:
            prose.append((number, ""))
            opened = [document, number, heading, fence[1].strip(), made, []]
        elif part := PART.match(line):
            made = part[2] if part[1] == "begin" else ""
        else:
            prose.append((number, line))
            is_code = line.startswith(("    ", "\t"))
            assert not is_code, f"{document}:{number}: code without a fence"
            if line.startswith("#"):
                heading = line.lstrip("# ")
    assert opened is None, f"{document}: a fence is not closed"
    return found, prose


def has_test(name):
    """Return whether there is a test called `FILE::FUNCTION`."""
    path, _, function = name.partition("::")
    if not (ROOT / path).is_file():
        return False
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    return any(isinstance(one, ast.FunctionDef) and one.name == function for one in tree.body)
