"""The watchdog of a virtual board: what the firmware writes into a pipe, and when it is late.

    T5000\\n   armed, with a time-out in milliseconds     .   fed     S   stopped

Survives a soft reset, as the one of a chip does.
"""


class Watchdog:
    """Bytes and times in, whether the time is over out."""

    def __init__(self) -> None:
        self._timeout_s: float | None = None  # None: not armed
        self._fed_at_s = 0.0
        self._digits: bytearray | None = None  # of a time-out that is being read

    def stop(self) -> None:
        """Disarm, as a hard reset does."""
        self._timeout_s = None
        self._digits = None

    def take(self, data: bytes, now_s: float) -> None:
        """Take what the firmware wrote; other bytes than those above mean nothing."""
        self._fed_at_s = now_s
        for byte in data:
            if self._digits is not None and 0x30 <= byte <= 0x39 and len(self._digits) < 9:
                self._digits.append(byte)
            elif byte == 0x54:  # T
                self._digits = bytearray()
            elif byte == 0x53:  # S
                self.stop()
            elif self._digits:
                self._timeout_s = int(self._digits) / 1000
                self._digits = None

    def left_s(self, now_s: float) -> float | None:
        """Return how long it still waits, 0 or less if it is over, None if it is not armed."""
        if self._timeout_s is None:
            return None
        return self._fed_at_s + self._timeout_s - now_s
