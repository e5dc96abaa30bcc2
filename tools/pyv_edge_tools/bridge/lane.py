"""The bytes that wait to go one way: bounded, in order, and what found no room is counted."""


class Lane:
    """A queue of at most `size_max` bytes."""

    def __init__(self, size_max: int) -> None:
        """Begin empty."""
        self.size_max = size_max
        self.passed_bytes_total = 0  # that went on to the other side
        self.lost_bytes_total = 0  # that found no room
        self._waiting = bytearray()

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def room(self) -> int:
        """How many more bytes fit."""
        return self.size_max - len(self._waiting)

    def put(self, data: bytes) -> None:
        """Take what fits of `data`; the rest is lost, as on a UART nobody reads."""
        kept = data[: self.room]
        self._waiting += kept
        self.lost_bytes_total += len(data) - len(kept)

    def front(self) -> bytes:
        """Return what is to go next."""
        return bytes(self._waiting)

    def gone(self, count: int) -> None:
        """Note that the first `count` bytes went on."""
        del self._waiting[:count]
        self.passed_bytes_total += count

    def clear(self) -> int:
        """Forget what waits: whoever it was for is gone. Return how many bytes that was."""
        count = len(self._waiting)
        self._waiting.clear()
        return count
