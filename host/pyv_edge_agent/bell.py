"""Bell: wakes a thread that waits in select()."""

import socket
import threading


class Bell:
    """Any thread may ring it; one waits for it, and quiets it before it looks what there is."""

    def __init__(self) -> None:
        """Nobody hears it before `open`."""
        self._ear: socket.socket | None = None
        self._mouth: socket.socket | None = None
        self._is_rung = False
        self._lock = threading.Lock()

    def open(self) -> None:
        """Let it be heard from now on. Raises OSError."""
        with self._lock:
            if self._ear is None:
                self._ear, self._mouth = socket.socketpair()

    def fileno(self) -> int:
        """Return what select() waits for."""
        assert self._ear is not None
        return self._ear.fileno()

    def ring(self) -> None:
        """Let the waiting thread go on, if there is one."""
        if self._is_rung:
            return  # it has not looked yet
        with self._lock:  # else the byte could go to whatever has the number of a closed socket
            if self._mouth is not None and not self._is_rung:
                self._mouth.sendall(b"\0")
                self._is_rung = True

    def quiet(self) -> None:
        """Let the next ring be heard."""
        with self._lock:
            if self._ear is not None and self._is_rung:
                self._is_rung = len(self._ear.recv(1)) != 1

    def close(self) -> None:
        """Let nobody hear it any more."""
        with self._lock:
            for one in (self._ear, self._mouth):
                if one is not None:
                    one.close()
            self._ear = self._mouth = None
