"""Looks at seals without being an end of the link: both directions, one key.

A session's key comes from what its HELLO says (boot, greeting, challenge), and
nothing is encrypted, so whoever has the device's key can check what passes by.
The key itself is never shown.
"""

from pathlib import Path

from pyv_edge_core import message, seal
from pyv_edge_core.errors import FieldError, MessageError
from pyv_edge_core.seal import Seal

from .chunk import TO_HOST
from .errors import BridgeError
from .event import SEALED_GENUINE, SEALED_REPEATED, SEALED_UNKNOWN, SEALED_WRONG

_FILE_SIZE_MAX = 4096


def read_key(path: Path) -> bytes:
    """Return the key in a file: its first line, without white space around it.

    Raises BridgeError, which never shows it.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_FILE_SIZE_MAX)
    except OSError as error:
        raise BridgeError(f"--link-key-file {path}: can't be read: {error.strerror}") from error
    key = content.split(b"\n", 1)[0].strip()
    try:
        Seal(key, seal.TO_BOARD)
    except FieldError as error:
        raise BridgeError(
            f"--link-key-file {path}: its first line has {len(key)} bytes,"
            f" at least {seal.KEY_SIZE_MIN}"
        ) from error
    return key


class SealCheck:
    """What is known of the sessions that passed by."""

    def __init__(self, key: bytes) -> None:
        """Check with the device's `key`."""
        self._from_board = Seal(key, seal.TO_BOARD)
        self._from_host = Seal(key, seal.TO_HOST)

    def verdict(self, direction: int, sealed: bytes) -> str:
        """Return what is to be thought of a sealed message."""
        end = self._from_board if direction == TO_HOST else self._from_host
        replayed = end.replayed_total
        if direction == TO_HOST and sealed[1] == message.HELLO | seal.SEALED:
            is_genuine = self._take_hello(sealed)
        elif end.session is None:
            return SEALED_UNKNOWN
        else:
            is_genuine = bool(end.open(sealed))
        if is_genuine:
            return SEALED_GENUINE
        return SEALED_REPEATED if end.replayed_total > replayed else SEALED_WRONG

    def _take_hello(self, sealed: bytes) -> bool:
        """Return whether a HELLO is sealed with the key; a new one begins a session."""
        try:
            parsed = message.parse(seal.content(sealed))
        except MessageError:
            return False
        if parsed is None:
            return False
        hello = parsed[1]
        claim = (hello.boot, hello.greeting, hello.challenge_a, hello.challenge_b)
        if claim == self._from_board.session:
            return bool(self._from_board.open(sealed))
        if not self._from_board.open_first(sealed, claim):
            return False
        self._from_host.begin(claim)
        return True
