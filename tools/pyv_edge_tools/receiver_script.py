"""What a receiver does instead of what it should: a list of replies, each for one request.

    503*3, 429:2, hang:5, half, die, ok*10

`NNN` is a status; with `:S` it says Retry-After, S seconds. `ok` is the proper reply, `slow:S`
the same S seconds late. `hang:S` says nothing for so long and hangs up. `half` breaks off in
the middle of its reply, `die` keeps the batch and hangs up before its reply, `drop` hangs
up and keeps nothing, `html` says 200 as a hotspot's login page does. `*N` repeats. Behind
the last all is well.
"""

import threading
from dataclasses import dataclass

KINDS = ("ok", "slow", "hang", "half", "die", "drop", "html")
COUNT_MAX = 1_000_000
SECONDS_MAX = 3600.0


@dataclass(frozen=True)
class Reply:
    """What one request gets."""

    kind: str = "ok"  # one of KINDS, or "status"
    status: int = 200
    seconds: float | None = None

    @property
    def is_kept(self) -> bool:
        """Whether the batch is stored."""
        return self.kind in ("ok", "slow", "half", "die")


class Script:
    """Replies in their order. Any thread may take the next."""

    def __init__(self, text: str = "") -> None:
        """Read a script. Raises ValueError, saying which part is wrong."""
        self._lock = threading.Lock()
        self._replies: list[Reply] = []
        for part in text.split(","):
            if part.strip():
                self._replies += _parse(part.strip())

    def next(self) -> Reply:
        """Return what the next request gets."""
        with self._lock:
            return self._replies.pop(0) if self._replies else Reply()

    @property
    def left(self) -> int:
        """How many replies are still to be given."""
        return len(self._replies)


def _parse(part: str) -> list[Reply]:
    head, star, times = part.partition("*")
    kind, colon, seconds = head.strip().partition(":")
    problem = f"script: {part!r} is neither a status nor one of {', '.join(KINDS)}"
    if star and not (times.strip().isdecimal() and 1 <= int(times) <= COUNT_MAX):
        raise ValueError(f"script: {part!r}: how often must be a whole number in 1..{COUNT_MAX}")
    wait_s: float | None = None
    if colon:
        try:
            wait_s = float(seconds)
        except ValueError:
            raise ValueError(f"script: {part!r}: {seconds!r} is no number of seconds") from None
        if not 0 <= wait_s <= SECONDS_MAX:
            raise ValueError(f"script: {part!r}: seconds must be in 0..{SECONDS_MAX:g}")
    if kind.isdecimal() and 200 <= int(kind) <= 599:
        reply = Reply("status", int(kind), wait_s)
    elif kind in KINDS:
        if kind in ("slow", "hang") and wait_s is None:
            raise ValueError(f"script: {part!r}: say for how long, as in {kind}:5")
        reply = Reply(kind, 200, wait_s)
    else:
        raise ValueError(problem)
    return [reply] * (int(times) if star else 1)
