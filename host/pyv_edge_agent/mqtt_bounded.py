"""The library's MQTT client, with a limit to what it holds of a packet, and fewer reads.

MQTT 3.1.1 has no way to refuse a large one, and the library would hold 256 MB three times.
What is left out can be acknowledged all the same, or the broker would send it for ever.

The library asks the system three times for each packet. For who reads by turns there is a
client that asks once for all that has come.
"""

from collections.abc import Callable
from typing import Any

from paho.mqtt.client import Client

HELD_SIZE_MAX = 524_288  # bytes of a packet: the longest topic, and more than a payload may have
READ_SIZE = 65_536  # bytes of one read

_receive: Callable[[Client, int], bytes] = Client._sock_recv


class BoundedClient(Client):
    """A client that leaves out what is behind the first bytes of a large packet."""

    def _sock_recv(self, bufsize: int) -> bytes:  # of version 1.5 to 2.2
        if bufsize <= READ_SIZE:  # three times for each message, so without a look
            return _receive(self, bufsize)
        return self._left_out(_receive(self, READ_SIZE))

    def _left_out(self, data: bytes) -> bytes:
        return _LeftOut(len(data)) if len(self._in_packet["packet"]) >= HELD_SIZE_MAX else data


class GatheringClient(BoundedClient):
    """The same, reading ahead: whoever waits for bytes must look at `has_bytes` first.

    For clients that are driven by calls of `loop_read`, not by the library's own loop.
    """

    def __init__(self, *arguments: Any, **more: Any) -> None:
        self._ahead = memoryview(b"")  # what has been read and not been asked for
        super().__init__(*arguments, **more)

    @property
    def has_bytes(self) -> bool:
        """Whether something has been read that is still to be taken."""
        return bool(self._ahead)

    def _sock_recv(self, bufsize: int) -> bytes:
        if not self._ahead:
            if bufsize > READ_SIZE:
                return super()._sock_recv(bufsize)
            self._ahead = memoryview(_receive(self, READ_SIZE))
        taken, self._ahead = bytes(self._ahead[:bufsize]), self._ahead[bufsize:]
        return super()._left_out(taken) if bufsize > READ_SIZE else taken


class _LeftOut(bytes):
    """Nothing that counts as so many bytes."""

    _size: int

    def __new__(cls, size: int) -> "_LeftOut":
        made = super().__new__(cls)
        made._size = size
        return made

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, key: Any) -> Any:
        raise IndexError("nothing was kept")
