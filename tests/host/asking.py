"""Requests to a running agent's HTTP server, whatever it answers."""

import http.client
import json
import socket
from typing import NamedTuple


class Reply(NamedTuple):
    """An answer."""

    status: int
    headers: dict
    body: bytes

    @property
    def told(self):
        """What it says in JSON."""
        return json.loads(self.body)


def address(agent):
    """Return (host, port) of an agent's server."""
    return agent._health_server.server_address[:2]


def ask(agent, path, method="GET", **headers):
    """Return the Reply to a request; underscores in names of `headers` are hyphens."""
    connection = http.client.HTTPConnection(*address(agent), timeout=30)
    try:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, headers=named)
        reply = connection.getresponse()
        return Reply(reply.status, dict(reply.headers), reply.read())
    finally:
        connection.close()


def report(agent, path="/health"):
    """Return what is told at a path, in JSON."""
    return ask(agent, path).told


def raw(agent, request):
    """Send bytes; return all that comes back."""
    with socket.create_connection(address(agent), timeout=30) as connection:
        connection.sendall(request)
        return b"".join(iter(lambda: connection.recv(4096), b""))
