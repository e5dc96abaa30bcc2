"""The watchdog of a virtual board: what the firmware writes into a pipe, and when it is late.

    T5000\\n     armed, with a time-out in milliseconds     .   fed     S   stopped
    I300000\\n   a reset is due when the host has sent nothing for so many milliseconds

The first survives a soft reset, as the watchdog of a chip does. The second does
not: it plays a timer by which a chip sees that nobody uses its prompt (a chip
looks at its heap, which is not to be seen from here). T ends it, too: a program
runs again.
"""


class Watchdog:
    """Bytes and times in, whether the time is over out."""

    def __init__(self) -> None:
        self._timeout_s: float | None = None  # None: not armed
        self._fed_at_s = 0.0
        self._idle_s: float | None = None  # None: the prompt may be left alone for ever
        self._heard_at_s = 0.0
        self._word = 0  # of which a number is being read
        self._digits: bytearray | None = None

    def stop(self) -> None:
        """Disarm, as a hard reset does."""
        self._timeout_s = None
        self._idle_s = None
        self._digits = None

    def end_timers(self) -> None:
        """Lose what a soft reset ends."""
        self._idle_s = None

    def hear(self, now_s: float) -> None:
        """Note that the host has sent something."""
        self._heard_at_s = now_s

    def take(self, data: bytes, now_s: float) -> None:
        """Take what the firmware wrote; other bytes than those above mean nothing."""
        self._fed_at_s = now_s
        for byte in data:
            if self._digits is not None and 0x30 <= byte <= 0x39 and len(self._digits) < 9:
                self._digits.append(byte)
            elif byte in b"TI":
                self._word = byte
                self._digits = bytearray()
            elif byte == 0x53:  # S
                self._timeout_s = None
                self._digits = None
            elif self._digits:
                self._arm(int(self._digits) / 1000, now_s)
                self._digits = None

    def _arm(self, time_s: float, now_s: float) -> None:
        if self._word == 0x49:  # I
            self._idle_s = time_s
            self._heard_at_s = now_s
        else:
            self._timeout_s = time_s
            self._idle_s = None

    def left_s(self, now_s: float) -> float | None:
        """Return how long it still waits, 0 or less if it is over, None if it is not armed."""
        if self._timeout_s is None:
            return None
        return self._fed_at_s + self._timeout_s - now_s

    def idle_left_s(self, now_s: float) -> float | None:
        """Return how long the prompt waits for its host, as `left_s` does."""
        if self._idle_s is None:
            return None
        return self._heard_at_s + self._idle_s - now_s
