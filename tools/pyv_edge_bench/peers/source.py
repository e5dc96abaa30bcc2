"""Where the readings come from: sensors that publish, a board, or a board that prints JSON lines.

A source that keeps readings (`keeps`) has them until the peer takes them: all that is to be
measured can wait there, and making it costs nothing while the peer is measured.
"""

import os
import pty
import select
import threading
import time
import tty
from pathlib import Path
from typing import Any, Protocol

from pyv_edge_core.device_session import DeviceSession
from pyv_edge_core.identity import Identity
from pyv_edge_core.reading import Channel
from pyv_edge_core.record_ring import RecordRing

from . import load
from .broker import Broker

_TICK_MASK = 0x3FFFFFFF
_TIMEOUT_S = 120.0
_INFLIGHT_MAX = 1000
ROOM = 2048  # readings that a board keeps unless it is set otherwise


class Source(Protocol):
    """Something that has readings for a peer."""

    keeps: bool

    @property
    def place(self) -> str:
        """What a peer is told: a broker's port, or a serial port's path."""

    def send(self, number: int) -> None:
        """Let it have a reading, which it sends as soon as it can."""

    def flush(self) -> None:
        """Return when it keeps, or has sent, all that it was given. Raises RuntimeError."""

    def close(self) -> None:
        """End it."""


class Sensors:
    """Sensors that publish with QoS 1 to a broker, which keeps what waits."""

    keeps = True

    def __init__(self, folder: Path, room: int = ROOM) -> None:
        """Start the broker, which keeps any number, and connect."""
        del room
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion

        self._broker = Broker(folder / "source")
        self._broker.start()
        self._client = Client(CallbackAPIVersion.VERSION2, client_id="sensors")
        self._client.max_inflight_messages_set(_INFLIGHT_MAX)
        self._client.connect("127.0.0.1", self._broker.port)
        self._client.loop_start()
        self._last: Any = None

    @property
    def place(self) -> str:
        """The broker's port."""
        return str(self._broker.port)

    def send(self, number: int) -> None:
        """Publish a reading."""
        self._last = self._client.publish(load.topic(number), load.message(number), qos=1)

    def flush(self) -> None:
        """Wait until the broker has acknowledged all."""
        self._last.wait_for_publish(_TIMEOUT_S)
        if not self._last.is_published():
            raise RuntimeError("the broker does not acknowledge what sensors publish")

    def close(self) -> None:
        """Disconnect and stop the broker."""
        self._client.disconnect()
        self._client.loop_stop()
        self._broker.stop()


class _Port:
    """A serial port that stays when its reader goes."""

    def __init__(self) -> None:
        self.master, self._slave = pty.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self.master, False)
        self.place = os.ttyname(self._slave)

    def close(self) -> None:
        os.close(self.master)
        os.close(self._slave)


class Board:
    """The core's own end of a link in a thread: what it was not acknowledged it sends again."""

    keeps = True

    def __init__(self, folder: Path, room: int = ROOM) -> None:
        """Begin to greet; what there is no room for takes that of the oldest."""
        del folder
        channels = [Channel(f"s{number}", "Cel", load.EXPONENT) for number in range(load.SENSORS)]
        self._ring = RecordRing(room)
        boot = time.time_ns() & 0x7FFFFFFF
        identity = Identity("bench-board", boot, "rp2", "1.0.0", "1.0.0")
        self._session = DeviceSession(identity, channels, self._ring, RecordRing(16))
        self._port = _Port()
        self._lock = threading.Lock()
        self._unsent = b""
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def place(self) -> str:
        """The path of the port."""
        return self._port.place

    def send(self, number: int) -> None:
        """Sample a reading."""
        now_ms = time.monotonic_ns() // 1_000_000
        with self._lock:
            # What is overwritten does not arrive, and is counted as that.
            self._ring.push(number % load.SENSORS, 0, number, now_ms // 1000, now_ms % 1000)

    def flush(self) -> None:
        """Return at once: it keeps them."""

    def _run(self) -> None:
        while not self._is_over.is_set():
            writable = [self._port.master] if self._unsent else []
            ready, _, _ = select.select([self._port.master], writable, [], 0.01)
            now_ms = time.monotonic_ns() // 1_000_000
            with self._lock:
                if ready:
                    received = os.read(self._port.master, 65_536)
                    self._session.receive(received, now_ms & _TICK_MASK)
                self._say(now_ms)

    def _say(self, now_ms: int) -> None:
        while True:
            if not self._unsent:
                self._unsent = self._session.transmit(
                    now_ms & _TICK_MASK, now_ms // 1000, now_ms % 1000
                )
            if not self._unsent:
                return
            try:
                self._unsent = self._unsent[os.write(self._port.master, self._unsent) :]
            except BlockingIOError:
                return

    def close(self) -> None:
        """End the thread and close the port."""
        self._is_over.set()
        self._thread.join(_TIMEOUT_S)
        self._port.close()


class Lines:
    """A board that prints JSON lines, as tutorials do, whoever reads them.

    What finds no room in the port within a second is gone: the board has something else to do.
    """

    keeps = False

    def __init__(self, folder: Path, room: int = 0) -> None:
        """Open the port. It keeps nothing, whatever the `room`."""
        del folder, room
        self._port = _Port()

    @property
    def place(self) -> str:
        """The path of the port."""
        return self._port.place

    def send(self, number: int) -> None:
        """Print a line."""
        unsent = load.line(number)
        end_s = time.monotonic() + 1.0
        while unsent and time.monotonic() < end_s:
            _, ready, _ = select.select([], [self._port.master], [], 0.05)
            if ready:
                try:
                    unsent = unsent[os.write(self._port.master, unsent) :]
                except BlockingIOError:
                    continue

    def flush(self) -> None:
        """Return at once: a line is sent or gone."""

    def close(self) -> None:
        """Close the port."""
        self._port.close()
