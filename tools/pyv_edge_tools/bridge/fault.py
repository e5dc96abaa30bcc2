"""Faults of a line, from a seed: what a cable, a driver or a full buffer does to bytes.

Where a fault strikes is drawn in bytes and not by calls: the same bytes with the
same seed are damaged alike however they are split. Each kind and direction has
its own numbers, so that more of one moves no other. Only `cut` and `delay` last
for a time, which is an argument.
"""

import math
import random
from collections import deque
from dataclasses import dataclass, field

from .chunk import SPEAKERS

RATE_MIN = 1e-12  # once in a terabyte; the distance to what is rarer fits no number
RUN_MAX = 64  # bytes that one fault takes, repeats or puts in
WAITING_MAX = 65_536  # bytes that a delay may hold back

# kind: what it does; the order in which they are applied to a byte
KINDS = {
    "flip": "one bit is inverted",
    "loss": f"1 to {RUN_MAX} bytes are lost",
    "repeat": f"the last 1 to {RUN_MAX} bytes come again",
    "garbage": f"1 to {RUN_MAX} random bytes come in between",
    "cut": "nothing gets through for --cut-ms",
    "delay": "all that follows is held back for up to --delay-ms",
}
DIRTY = {"flip": 2e-4, "loss": 1e-4, "repeat": 5e-5, "garbage": 1e-4}


@dataclass(frozen=True)
class Plan:
    """How often what happens, per byte, and for how long."""

    seed: int
    rates: dict[str, float] = field(default_factory=lambda: dict(DIRTY))
    cut_ms: int = 300
    delay_ms: int = 200


class Faults:
    """What one direction of a line does to its bytes."""

    def __init__(self, plan: Plan, direction: int) -> None:
        """Begin as `plan` says for `direction`, TO_HOST or TO_BOARD."""
        self.strikes = dict.fromkeys(KINDS, 0)
        self.changed_bytes_total = 0  # that were inverted, lost, repeated or made up
        self.overflow_bytes_total = 0  # that a delay had no room for
        self._plan = plan
        self._kinds = [
            _Kind(name, rate, f"{plan.seed}/{SPEAKERS[direction]}/{name}")
            for name, rate in sorted(
                plan.rates.items(), key=lambda item: list(KINDS).index(item[0])
            )
            if rate > 0
        ]
        self._lost = 0  # bytes still to be lost
        self._last = bytearray()  # what went out last
        self._cut_until_ms = -1
        self._hold_until_ms = -1
        self._waiting: deque[tuple[int, bytes]] = deque()  # (when it may go on, bytes)
        self._waiting_size = 0

    def feed(self, data: bytes, now_ms: int) -> None:
        """Take bytes that came."""
        out = bytearray()
        while data:
            # Up to the next strike, whichever kind's it is, nothing happens.
            calm = min((kind.distance for kind in self._kinds), default=len(data))
            part, data = data[:calm], data[calm:]
            self._pass(part, out, now_ms)
            for kind in self._kinds:
                kind.distance -= len(part)
            if data:
                byte, data = data[:1], data[1:]
                for kind in self._kinds:
                    if kind.distance == 0:
                        byte = self._strike(kind, byte, out, now_ms)
                        kind.draw()
                    else:
                        kind.distance -= 1
                self._pass(byte, out, now_ms)
        self._queue(bytes(out), now_ms)

    def _pass(self, part: bytes, out: bytearray, now_ms: int) -> None:
        if now_ms < self._cut_until_ms:
            self.changed_bytes_total += len(part)
            return
        skipped = min(self._lost, len(part))
        self._lost -= skipped
        self.changed_bytes_total += skipped
        out += part[skipped:]
        self._last = (self._last + part[skipped:])[-RUN_MAX:]

    def _strike(self, kind: "_Kind", byte: bytes, out: bytearray, now_ms: int) -> bytes:
        """Do what `kind` does at `byte`; return what is left of that."""
        rng = kind.rng
        self.strikes[kind.name] += 1
        if kind.name == "flip":
            self.changed_bytes_total += 1
            return bytes([byte[0] ^ 1 << rng.randrange(8)])
        if kind.name == "loss":
            self._lost += rng.randint(1, RUN_MAX)
        elif kind.name == "repeat":
            again = bytes(self._last[-rng.randint(1, RUN_MAX) :])
            self.changed_bytes_total += len(again)
            out += again
        elif kind.name == "garbage":
            made_up = rng.randbytes(rng.randint(1, RUN_MAX))
            self.changed_bytes_total += len(made_up)
            out += made_up
        elif kind.name == "cut":
            self._cut_until_ms = now_ms + self._plan.cut_ms
        else:
            # What came before the strike isn't held back by it.
            self._queue(bytes(out), now_ms)
            out.clear()
            self._hold_until_ms = now_ms + rng.randint(1, max(1, self._plan.delay_ms))
        return byte

    def _queue(self, data: bytes, now_ms: int) -> None:
        kept = data[: WAITING_MAX - self._waiting_size]
        self.overflow_bytes_total += len(data) - len(kept)
        if kept:
            self._waiting.append((max(now_ms, self._hold_until_ms), kept))
            self._waiting_size += len(kept)

    def take(self, now_ms: int) -> bytes:
        """Return the bytes that go on now."""
        out = []
        while self._waiting and self._waiting[0][0] <= now_ms:
            out.append(self._waiting.popleft()[1])
        taken = b"".join(out)
        self._waiting_size -= len(taken)
        return taken

    def wait_ms(self, now_ms: int) -> int | None:
        """Return in how many milliseconds there is something to take, None if nothing waits."""
        return max(0, self._waiting[0][0] - now_ms) if self._waiting else None


class _Kind:
    """One kind of fault: how many bytes pass before it strikes."""

    def __init__(self, name: str, rate: float, seed: str) -> None:
        self.name = name
        self.rng = random.Random(seed)
        self._rate = min(rate, 1.0)
        self.distance = 0
        self.draw()

    def draw(self) -> None:
        """Draw the distance to the next strike, geometrically distributed."""
        if self._rate >= 1.0:
            self.distance = 0
            return
        uniform = 1.0 - self.rng.random()  # above 0
        self.distance = int(math.log(uniform) / math.log1p(-self._rate))
