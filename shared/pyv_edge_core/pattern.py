"""Patterns over names: `*` stands for any characters, `?` for one, the rest for itself.

Dots are characters like others, so `camera.*` covers everything below `camera.`.
Matching walks once over the name with a set of places in the pattern, kept as
the bits of an integer: linear in the name whatever the pattern, and without
recursion. A policy must not be a way to stop a board.
"""

from ._compat import const
from .errors import FieldError

SIZE_MAX = const(64)  # characters of a pattern


def _is_plain(text: str) -> bool:
    for character in text:
        if character < " " or character == "[" or 0xD800 <= ord(character) <= 0xDFFF:
            return False
    return True


class Pattern:
    """One pattern, taken apart."""

    def __init__(self, text: str) -> None:
        """Prepare `text`.

        Raises FieldError unless it has 1 to SIZE_MAX characters, none of them a `[`,
        a control character or half a surrogate pair.
        """
        if not isinstance(text, str) or not 1 <= len(text) <= SIZE_MAX or not _is_plain(text):
            raise FieldError(
                "%r is not a pattern of 1 to %d characters with * and ?; [, control characters"
                " and halves of surrogate pairs are not possible" % (text, SIZE_MAX)
            )
        self.text = text
        steps: dict[str, int] = {}
        self._loops = 0  # places where a star lets any character pass
        self._any = 0  # places that a character which isn't in the pattern goes on from
        place = 1
        for character in text:
            if character == "*":
                self._loops |= place
                continue
            if character == "?":
                self._any |= place
            else:
                steps[character] = steps.get(character, 0) | place
            place <<= 1
        self._end = place
        self._steps = {character: steps[character] | self._any for character in steps}

    def matches(self, name: str) -> bool:
        """Return whether all of `name` fits."""
        places = 1
        for character in name:
            passed = places & self._steps.get(character, self._any)
            places = passed << 1 | places & self._loops
            if not places:
                return False
        return places & self._end != 0
