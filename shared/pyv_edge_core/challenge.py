"""How a host knows that a HELLO is not a recording: it answers the present challenge.

A challenge is 64 random bits, sent in a HELLO_REQUEST and used up by the first
genuine HELLO that repeats it. From then on that HELLO's session is in force,
and its repetitions are messages of the session like any other.
"""

from . import message, seal
from ._compat import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Challenge:
    """The host's end of an authenticated link."""

    def __init__(self, key: bytes, random_bits: "Callable[[int], int]") -> None:
        """Use the device's `key`; `random_bits(count)` must be unpredictable.

        Raises FieldError for a key that is too short.
        """
        self.seal = seal.Seal(key, seal.TO_BOARD)
        self.value = (0, 0)  # what a HELLO has to repeat
        self.is_due = False  # whether the board should be told: the session sets it back
        self._random_bits = random_bits
        self._is_claimed = False  # whether a HELLO has begun a session that doesn't count
        self._renew()

    @property
    def unasked_total(self) -> int:
        """HELLOs that answer no present challenge, and what follows them."""
        return self.seal.unasked_total

    def _renew(self) -> None:
        self._is_claimed = False
        self.value = (self._random_bits(32), self._random_bits(32))

    def open(self, sealed: bytes) -> bytes:
        """Return the message under the seal, b"" if it can't be trusted, which is counted.

        Raises MessageError for a HELLO that breaks PROTOCOL.md.
        """
        content = seal.content(sealed)
        if not content or content[1] != message.HELLO:
            return self._open(sealed)
        parsed = message.parse(content)
        assert parsed is not None
        hello = parsed[1]
        claim = (hello.boot, hello.greeting, hello.challenge_a, hello.challenge_b)
        if claim == self.seal.session:
            return self.seal.open(sealed)
        if claim[2:] != self.value:
            self.seal.unasked_total += 1
            self.is_due = self._is_claimed = True
            return b""
        content = self.seal.open_first(sealed, claim)
        if content:
            self._renew()
        return content

    def _open(self, sealed: bytes) -> bytes:
        if self.seal.session is None:
            self.is_due = True
        elif not self._is_claimed:
            return self.seal.open(sealed)
        # Most likely what follows a HELLO that doesn't know the challenge yet.
        return self.seal.open_unasked(sealed)
