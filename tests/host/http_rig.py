"""Clients of the HTTP adapter, and an adapter on an ingest that runs only when a test says so."""

import http.client
import json
import re
import socket
import threading
from contextlib import contextmanager
from typing import NamedTuple

from host.test_intake import Site
from host.waiting import wait_for
from pyv_edge_agent.adapters.http_receive import HTTPAdapter
from pyv_edge_agent.clock import SystemClock
from pyv_edge_agent.settings import DEVICE, DEVICES

TIME = 1_780_000_000  # seconds
JSON = "application/json"


def reading(value=1.5, name="temp", **more):
    return {"sensor_name": name, "timestamp": TIME, "value": value, "unit": "Cel", **more}


class Answer(NamedTuple):
    status: int
    body: dict
    headers: dict


def ask(port, body=None, path="/ingest", method="POST", connection=None, **headers):
    """Send one request and return its Answer; a body that is no bytes becomes JSON.

    Headers are written as in Content_Type; None is for one that is not sent.
    """
    sent = {"Content-Type": JSON, **{key.replace("_", "-"): one for key, one in headers.items()}}
    sent = {key: value for key, value in sent.items() if value is not None}
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body).encode()
    used = connection or http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        used.request(method, path, body, sent)
        with used.getresponse() as reply:
            text = reply.read()
            return Answer(reply.status, json.loads(text) if text else {}, dict(reply.headers))
    finally:
        if connection is None:
            used.close()


def read_all(connection):
    return b"".join(iter(lambda: connection.recv(65_536), b""))


def raw(port, *pieces, is_half_closed=True):
    """Send bytes, by default with an end behind them, and return all that comes.

    That is nothing if the server has hung up: it doesn't wait for ever to be heard.
    """
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        try:
            for piece in pieces:
                connection.sendall(piece)
            if is_half_closed:
                connection.shutdown(socket.SHUT_WR)
            return read_all(connection)
        except TimeoutError:
            raise
        except OSError:
            return b""


def statuses(answer):
    """Return the statuses of the answers in what a server has sent."""
    return [int(one) for one in re.findall(rb"(?:^|\r\n\r\n|\})HTTP/1\.1 (\d{3}) ", answer)]


def head(size, path="/ingest", **headers):
    """Return the head of a POST whose body is announced with `size`."""
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: x",
        f"Content-Type: {JSON}",
        f"Content-Length: {size}",
    ]
    lines += [f"{key.replace('_', '-')}: {value}" for key, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode()


def chunked(*pieces):
    """Return a body that is sent in these pieces."""
    return b"".join(b"%x\r\n%b\r\n" % (len(one), one) for one in (*pieces, b""))


def device(name="up", kind="http", **settings):
    """Return a checked table of a device."""
    keys = {**DEVICE, **DEVICES[kind]}
    defaults = {key: setting.default for key, setting in keys.items()}
    return {**defaults, "ingest_type": kind, "port": 0, **settings, "name": name}


class Slow(Site):
    """A receiver whose readings are committed when the test runs the ingest."""

    def __init__(self, path, **settings):
        super().__init__(path)
        self.adapter = HTTPAdapter(device("meter", **settings), SystemClock())
        self.thread = threading.Thread(target=self.adapter.run, args=(self.feed,), daemon=True)
        self.thread.start()
        wait_for(lambda: self.adapter.status()["is_connected"], "the listener")

    @property
    def port(self):
        return self.adapter.status()["listener"]["port"]

    def close(self):
        self.adapter.stop()
        self.thread.join(10)
        assert not self.thread.is_alive()
        self.store.close()


@contextmanager
def committing(site):
    """Run a Slow's ingest again and again while the block lasts."""
    is_over = threading.Event()

    def run():
        while not is_over.is_set():
            site.ingest.run()
            is_over.wait(0.005)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join(10)
