"""What happens on a line, as everything here hands it on: bytes that came, and remarks.

Times are nanoseconds of a clock that never steps; only their differences mean
anything. A capture says beside them what the time of day was at its beginning.
"""

from typing import NamedTuple

TO_HOST = 0  # what a board says
TO_BOARD = 1  # what its host says
SPEAKERS = ("board", "host")  # by direction


class Chunk(NamedTuple):
    """Bytes that came at once."""

    at_ns: int
    direction: int
    data: bytes


class Note(NamedTuple):
    """What happened to the line itself, such as "the board's port went away"."""

    at_ns: int
    text: str


Seen = Chunk | Note
