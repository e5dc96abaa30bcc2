"""mosquitto, as a process on loopback that can be away for a while."""

import shutil
import socket
import subprocess
import time
from pathlib import Path

_START_S = 20.0
_STOP_S = 20.0


def program() -> str:
    """Return the path of mosquitto. Raises FileNotFoundError without it."""
    found = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
    if found is None:
        raise FileNotFoundError("no mosquitto: apt-get install mosquitto")
    return found


class Broker:
    """A broker that queues without a limit, and keeps what it has over a stop.

    Its port is held while the object lives: while the broker is away nobody else is given it.
    """

    def __init__(self, folder: Path) -> None:
        """Write its configuration. Raises FileNotFoundError without mosquitto."""
        folder.mkdir(parents=True)
        # A socket that holds a port and does not listen is not in the way of a server, which sets
        # SO_REUSEADDR, too.
        self._held = socket.socket()
        self._held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._held.bind(("127.0.0.1", 0))
        self.port: int = self._held.getsockname()[1]
        self._config = folder / "mosquitto.conf"
        lines = (
            f"listener {self.port} 127.0.0.1",
            "allow_anonymous true",
            "persistence true",
            f"persistence_location {folder}/",
            "max_inflight_messages 0",
            "max_queued_messages 0",
            "user root",
        )
        self._config.write_text("\n".join(lines) + "\n")
        self._log = folder / "mosquitto.log"
        self._program = program()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it listens. Raises RuntimeError if it doesn't."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [self._program, "-c", str(self._config)], stdout=log, stderr=log
            )
        end_s = time.monotonic() + _START_S
        while self._process.poll() is None and time.monotonic() < end_s:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        raise RuntimeError(f"mosquitto does not start: {self._log.read_text()[-300:]}")

    def stop(self) -> None:
        """Let it write down what it has, and end."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            try:
                process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
