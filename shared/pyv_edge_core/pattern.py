"""Patterns over names: `*` stands for any characters, `?` for one, the rest for itself.

Linear in the length of the name times that of the pattern at the very most,
whatever the pattern, and without recursion: a policy must not be a way to stop
a board.
"""


def matches(pattern: str, name: str) -> bool:
    """Return whether all of `name` fits `pattern`."""
    place = 0  # in name
    index = 0  # in pattern
    star = -1  # the last `*` passed, and where in `name` what it stands for ends
    resume = 0
    while place < len(name):
        if index < len(pattern) and pattern[index] == "*":
            star = index
            resume = place
            index += 1
        elif index < len(pattern) and pattern[index] in ("?", name[place]):
            place += 1
            index += 1
        elif star >= 0:
            # Only the last star can need to grow: an earlier one has found its earliest end.
            resume += 1
            place = resume
            index = star + 1
        else:
            return False
    while index < len(pattern) and pattern[index] == "*":
        index += 1
    return index == len(pattern)
