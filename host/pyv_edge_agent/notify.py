"""Tells the service manager how the agent is: sd_notify(3), without its library.

A message is one datagram of NAME=VALUE lines to the socket in $NOTIFY_SOCKET. Where there
is none, as in a terminal, nothing is sent. A manager that does not listen is logged once
and never keeps the agent waiting for long.
"""

import logging
import socket
from collections.abc import Mapping

from .clock import Clock

logger = logging.getLogger(__name__)

SEND_S = 2.0  # longest wait for a manager whose queue is full


class Notifier:
    """The way to one service manager."""

    def __init__(self, address: str, clock: Clock, watchdog_ms: int = 0) -> None:
        """Prepare to send to `address`: a path, an abstract name with @ before it, "" for nowhere.

        `watchdog_ms` is within what time the manager wants to be fed; 0: it doesn't.
        """
        self.watchdog_ms = watchdog_ms
        self.failures_total = 0  # messages that could not be sent
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._clock = clock
        self._is_failing = False

    @classmethod
    def from_environment(
        cls, environment: Mapping[str, str], pid: int, clock: Clock
    ) -> "Notifier":
        """Return the one that the environment of process `pid` names."""
        watchdog_us = environment.get("WATCHDOG_USEC", "")
        is_ours = environment.get("WATCHDOG_PID", str(pid)) == str(pid)
        watchdog_ms = int(watchdog_us) // 1000 if is_ours and watchdog_us.isdecimal() else 0
        return cls(environment.get("NOTIFY_SOCKET", ""), clock, watchdog_ms)

    def ready(self, status: str) -> None:
        """Say that the agent has started, or is done with loading its configuration anew."""
        self._send("READY=1", _status(status))

    def reloading(self) -> None:
        """Say that the configuration is being loaded anew; `ready` is to follow."""
        # Rounded up: it must not be before the manager has asked for it.
        now_us = (self._clock.monotonic_ms() + 1) * 1000
        self._send("RELOADING=1", f"MONOTONIC_USEC={now_us}")

    def stopping(self) -> None:
        """Say that the agent is about to end."""
        self._send("STOPPING=1", _status("stopping"))

    def status(self, text: str) -> None:
        """Say in one line how the agent is."""
        self._send(_status(text))

    def feed(self, status: str) -> None:
        """Say that every worker moves, and in one line how the agent is."""
        self._send("WATCHDOG=1", _status(status))

    def extend(self, by_ms: int, status: str) -> None:
        """Ask for so much more time to start in, saying what takes it."""
        self._send(f"EXTEND_TIMEOUT_USEC={by_ms * 1000}", _status(status))

    def _send(self, *lines: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.settimeout(SEND_S)
                sender.connect(self._address)
                sender.send("\n".join(lines).encode())
        except OSError as error:
            self.failures_total += 1
            if not self._is_failing:
                self._is_failing = True
                logger.warning("can't tell the service manager how the agent is: %s", error)
            return
        if self._is_failing:
            self._is_failing = False
            logger.warning("the service manager listens again")


def _status(text: str) -> str:
    return "STATUS=" + " ".join(text.split())
