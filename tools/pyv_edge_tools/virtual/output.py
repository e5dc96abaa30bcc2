"""What a board writes, on its way to the host: newlines, the FIFO, the line's rate, the losses.

Knows neither processes nor terminals: it is given each write of the program,
the time, and whether a host has the port open, and says which bytes leave.
"""

from .manners import GIVE_UP, KEEP, Manner

_FLAG = 0x7E  # begins and ends a frame
_MOUNT = 0x18  # begins what `mpremote mount` asks of the host, who says that byte, too
_OUTPUT_END = b"\x04"  # what the raw prompt says after a program
BITS_PER_BYTE = 10  # on a line: start, eight, stop
BURST_S = 0.004  # what a line may catch up at once, if we were late
BURST_BYTES_MIN = 32


class Pace:
    """How many bytes a line of so many baud lets through; any number if that is None."""

    def __init__(self, baud: int | None) -> None:
        self._bytes_per_s = None if baud is None else baud / BITS_PER_BYTE
        self._credit = 0.0
        self._at_s = 0.0

    def allowance(self, now_s: float, wanted: int) -> int:
        """Return how many of `wanted` bytes may pass now."""
        if self._bytes_per_s is None:
            return wanted
        burst = max(BURST_BYTES_MIN, self._bytes_per_s * BURST_S)
        self._credit = min(burst, self._credit + (now_s - self._at_s) * self._bytes_per_s)
        self._at_s = now_s
        return min(wanted, int(self._credit))

    def spend(self, count: int) -> None:
        """Note that so many bytes have passed."""
        if self._bytes_per_s is not None:
            self._credit -= count


class Newlines:
    """Gives text the line ends that a board's console has; bytes of a protocol stay as they are.

    A board does so in print() and not in sys.stdout.buffer.write(), which can't
    be told from outside: what begins as a frame, or as a request of `mpremote
    mount`, is taken for the latter.
    """

    def __init__(self) -> None:
        self._is_in_frame = False
        self._is_mounting = False  # until the host has answered, or the program has ended
        self._is_after_cr = False

    def take_answer(self, data: bytes) -> None:
        """Note what came from the host."""
        if data[0] != _MOUNT:
            self._is_mounting = False

    def translated(self, write: bytes) -> bytes:
        """Return one write of the program as a board's console would send it."""
        if len(write) == 2 and write[0] == _MOUNT:
            self._is_mounting = True
        elif write == _OUTPUT_END:
            self._is_mounting = False
        if self._is_mounting:
            return write
        done = bytearray()
        start = 0
        while start < len(write):
            if not self._is_in_frame and write[start] != _FLAG:
                # Only a write that begins with a flag, or the rest behind a frame, has another.
                done += self._text(write[start:])
                break
            if not self._is_in_frame:
                done.append(_FLAG)
                start += 1
                self._is_in_frame = True
            end = write.find(_FLAG, start)
            if end < 0:
                done += write[start:]
                break
            self._is_in_frame = end == start  # two flags in a row: the second one begins
            done += write[start : end + 1]
            start = end + 1
        self._is_after_cr = write[-1:] == b"\r"
        return bytes(done)

    def _text(self, text: bytes) -> bytes:
        first_is_done = self._is_after_cr and text[:1] == b"\n"
        plain = text.replace(b"\r\n", b"\n")
        cooked = plain.replace(b"\n", b"\r\n")
        return cooked[1:] if first_is_done else cooked


class Output:
    """One write that is being placed, the FIFO that it goes to, and what was lost."""

    def __init__(self, manner: Manner, baud: int | None) -> None:
        self.dropped_total = 0  # bytes
        self.newlines = Newlines()
        self._manner = manner
        self._pace = Pace(baud)
        self._rest = b""  # of the write
        self._moved_at_s = 0.0
        self._fifo = bytearray()
        self._is_host_there = False  # usb-jtag: whether the latest write got through

    @property
    def is_idle(self) -> bool:
        """Whether the program's next write may come."""
        return not self._rest

    @property
    def is_empty(self) -> bool:
        """Whether all has left."""
        return not self._rest and not self._fifo

    def clear(self) -> None:
        """Forget what has not left, as a hard reset does."""
        self._rest = b""
        self._fifo.clear()
        self.newlines = Newlines()

    def take(self, data: bytes, now_s: float) -> None:
        """Begin a write; the one before must be done."""
        assert self.is_idle
        self._rest = data
        self._moved_at_s = now_s

    def settle(self, is_open: bool, now_s: float) -> None:
        """Move what goes from the write into the FIFO; give up on it when it is time."""
        if not self._rest:
            return
        if not is_open and self._manner.when_closed == KEEP:
            self._fifo += self._rest
            self._rest = b""
            excess = max(0, len(self._fifo) - self._manner.output_size)
            del self._fifo[:excess]
            self.dropped_total += excess
            return
        room = self._manner.output_size - len(self._fifo)
        if room > 0:
            self._fifo += self._rest[:room]
            self._rest = self._rest[room:]
            self._moved_at_s = now_s
            self._is_host_there = True
        wait_s = self._manner.output_wait_s
        if not self._rest or wait_s is None:
            return
        is_hopeless = self._manner.when_closed == GIVE_UP and not self._is_host_there
        if is_hopeless or now_s - self._moved_at_s >= wait_s:
            self.dropped_total += len(self._rest)
            self._rest = b""
            self._is_host_there = False

    def sendable(self, now_s: float) -> bytes:
        """Return what may leave now."""
        return bytes(self._fifo[: self._pace.allowance(now_s, len(self._fifo))])

    def sent(self, count: int) -> None:
        """Note that the first bytes have left."""
        del self._fifo[:count]
        self._pace.spend(count)

    def lost(self, count: int) -> None:
        """Note that the first bytes have left and nobody got them."""
        self.sent(count)
        self.dropped_total += count
