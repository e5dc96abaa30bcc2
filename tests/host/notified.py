"""A service manager's end of the socket that the agent tells how it is."""

import os
import socket


class Manager:
    """Receives what is sent to `address`, which a path or an abstract name may be."""

    def __init__(self, address):
        self.address = str(address)
        self.messages = []  # of each datagram its lines
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + self.address[1:] if self.address[0] == "@" else self.address)
        self._socket.setblocking(False)

    def receive(self):
        """Return all lines that have come so far, in their order."""
        while True:
            try:
                self.messages.append(self._socket.recv(4096).decode().split("\n"))
            except BlockingIOError:
                return [line for lines in self.messages for line in lines]

    def count(self, line):
        return self.receive().count(line)

    def last(self, name):
        """Return the last value of a name, None if it was not told."""
        found = [line for line in self.receive() if line.startswith(f"{name}=")]
        return found[-1].partition("=")[2] if found else None

    def environment(self, **more):
        """Return the environment of a process that is to tell this one."""
        return {**os.environ, "NOTIFY_SOCKET": self.address, **more}

    def close(self):
        self._socket.close()
