"""What a host sends, on its way to the program: the line's rate, the input ring, Ctrl-C.

A board's driver looks for Ctrl-C before anything waits; so does this. What the
ring has no room for is lost on a UART; USB lets the host wait.
"""

from .child import Child
from .manners import Manner
from .output import Pace
from .port import Port

INTERRUPT = b"\x03"  # Ctrl-C
_READ_SIZE = 64  # a packet of full-speed USB


class Input:
    """The way from the port to the process, with all that is counted on it."""

    def __init__(self, manner: Manner, baud: int | None, port: Port, child: Child) -> None:
        self.total = 0  # bytes from the host
        self.dropped_total = 0
        self.limit: int | None = None  # the `total` at which the cable is pulled
        self.is_interrupt_due = False  # it came while the board was booting
        self._behind = b""  # what came right behind a Ctrl-C that has yet to act
        self._manner = manner
        self._pace = Pace(baud)
        self._port = port
        self._child = child

    @property
    def is_at_limit(self) -> bool:
        """Whether the cable is to be pulled now."""
        return self.limit is not None and self.total >= self.limit

    def move(self, now_s: float, is_booting: bool) -> tuple[bytes, bool]:
        """Move bytes on until it doesn't go on; return the latest, and whether a host waits."""
        if self.is_interrupt_due and not is_booting and self._child.is_interruptible:
            self.is_interrupt_due = False
            self._child.interrupt()
        latest = b""
        if self._behind:
            if self._child.is_interrupt_pending:
                return latest, True
            self._put(self._behind)
            self._behind = b""
        while not self.is_at_limit and not self._behind:
            wanted = self._pace.allowance(now_s, _READ_SIZE)
            if self._manner.is_input_held:
                wanted = min(wanted, self._manner.input_size - self._child.waiting)
            if self.limit is not None:
                wanted = min(wanted, self.limit - self.total)
            if wanted <= 0:
                return latest, True
            data = self._port.read(wanted)
            if not data:
                break
            latest = data
            self.total += len(data)
            self._pace.spend(len(data))
            self._take(data, is_booting)
        return latest, bool(self._behind)

    def forget(self) -> None:
        """Forget what has yet to act, as a hard reset does."""
        self.is_interrupt_due = False
        self._behind = b""

    def _take(self, data: bytes, is_booting: bool) -> None:
        """Put what the host sent where the program reads it, and Ctrl-C where it acts."""
        if INTERRUPT in data and is_booting:
            self.is_interrupt_due = True
            data = data.replace(INTERRUPT, b"")
        elif INTERRUPT in data and self._child.is_interruptible:
            before, _, after = data.partition(INTERRUPT)
            self._put(before)
            if self._manner.is_input_cleared:
                self._child.clear_input()
            self._child.interrupt()
            # Else a read() that is about to be interrupted would return it, and lose it.
            self._behind = after.lstrip(INTERRUPT)  # interrupted once is interrupted
            return
        self._put(data)

    def _put(self, data: bytes) -> None:
        room = max(0, self._manner.input_size - self._child.waiting)
        if data[:room]:
            self._child.put(data[:room])
        self.dropped_total += len(data) - len(data[:room])
