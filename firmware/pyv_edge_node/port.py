"""The byte pipe between the node and its host. Never blocks, never waits for a write.

A full or closed pipe is an ordinary state: what can't leave stays where it is,
and the session sends again whatever is lost. Reads one byte per ready poll,
because that is all that never blocks on every board (micropython issues 8772
and 16550); writes at most WRITE_SIZE_MAX bytes per ready poll, because a ready
poll promises no more than some room.
"""

import select

from pyv_edge_core._compat import TYPE_CHECKING, const

if TYPE_CHECKING:
    from typing import Any

READ_SIZE_MAX = const(256)  # bytes taken per read(), so that a babbling host can't hold the loop
WRITE_SIZE_MAX = const(64)
_BROKEN = select.POLLHUP | select.POLLERR


class StreamPort:
    """A port over a reader and a writer stream that `select.poll` understands."""

    def __init__(self, reader: "Any", writer: "Any") -> None:
        self.errors_total = 0  # reads and writes that failed
        self._reader = reader
        self._writer = writer
        self._poll_in = select.poll()
        self._poll_in.register(reader, select.POLLIN)
        self._poll_out = select.poll()
        self._poll_out.register(writer, select.POLLOUT)
        self._buffer = bytearray(READ_SIZE_MAX)
        self._frame = b""  # what is being written
        self._written = 0  # bytes of it that are out
        self._is_ended = False  # whether the reader has come to its end

    def read(self) -> bytes:
        """Return the bytes that are there, at most READ_SIZE_MAX, b"" if none."""
        count = 0
        while count < READ_SIZE_MAX:
            ready = self._poll_in.poll(0)
            if not ready or not ready[0][1] & select.POLLIN:
                break
            try:
                byte = self._reader.read(1)
            except OSError:
                self.errors_total += 1
                break
            if byte is None:  # a UART that has nothing after all; b"" is an end
                break
            self._is_ended = not byte
            if not byte:
                break
            self._buffer[count] = byte[0]
            count += 1
        return bytes(memoryview(self._buffer)[:count]) if count else b""

    @property
    def is_idle(self) -> bool:
        """Whether the frame before is wholly written, so that the next may come."""
        return self._written == len(self._frame)

    def write(self, frame: bytes) -> None:
        """Begin to write `frame`; the port must be idle."""
        assert self.is_idle
        self._frame = frame
        self._written = 0
        self.flush()

    def flush(self) -> None:
        """Write as much of the frame as goes without waiting."""
        while self._written < len(self._frame):
            ready = self._poll_out.poll(0)
            if not ready or not ready[0][1] & select.POLLOUT or ready[0][1] & _BROKEN:
                return
            try:
                count = self._writer.write(
                    self._frame[self._written : self._written + WRITE_SIZE_MAX]
                )
            except OSError:
                # The other side is gone in the middle of a frame: its rest is of no use now.
                self.errors_total += 1
                self._frame = b""
                self._written = 0
                return
            if not count:
                return
            self._written += count

    def wait(self, timeout_ms: int) -> bool:
        """Wait until bytes have come or `timeout_ms` is over.

        Returns False at once where the other side is gone: then the caller must sleep.
        """
        ready = self._poll_in.poll(timeout_ms)
        return not self._is_ended and (not ready or not ready[0][1] & _BROKEN)
