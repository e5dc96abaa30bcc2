"""A shared port over TCP: one program, RFC 2217, and whatever else may connect."""

import os
import socket
from contextlib import closing, contextmanager, suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyv_edge_tools.bridge.errors import BridgeError, UsageError
from pyv_edge_tools.bridge.port import BAUDRATE_MAX, BoardPort
from pyv_edge_tools.bridge.server import Server, parse_address, url

LOOPBACK = ("127.0.0.1", 0)


class OpenPort(BoardPort):
    """A port on a terminal, opened."""

    def __init__(self):
        self.master, self.slave = os.openpty()
        super().__init__(os.ttyname(self.slave), 115_200)
        self.open()

    def close(self):
        super().close()
        os.close(self.master)
        os.close(self.slave)


def connected(server):
    client = socket.create_connection(server.address, timeout=5)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    server.accept()
    return client


@contextmanager
def shared_port():
    """Give a port, the server that shares it, and a program that is connected."""
    port = OpenPort()
    with closing(port), closing(Server(LOOPBACK, port)) as server, connected(server) as client:
        yield port, server, client


def test_addresses_beyond_loopback_have_to_be_asked_for():
    for text in ("0.0.0.0:4000", "192.168.1.5:4000", "[::]:4000", "board.example:1"):
        with pytest.raises(UsageError, match="--beyond-loopback"):
            parse_address(text, is_beyond_allowed=False)
        assert parse_address(text, is_beyond_allowed=True)[1] in (1, 4000)
    for text in ("4000", "127.0.0.1:4000", "[::1]:4000", "localhost:4000", ":4000"):
        assert parse_address(text, is_beyond_allowed=False)[1] == 4000
    for text in ("", "x", "127.0.0.1", "1:2:x", "70000"):
        with pytest.raises(UsageError, match="must be PORT or HOST:PORT"):
            parse_address(text, is_beyond_allowed=True)


def test_port_in_use_is_told_in_a_line():
    with closing(Server(LOOPBACK)) as server, pytest.raises(BridgeError, match="in use"):
        Server(server.address)


def test_second_program_is_turned_away_and_counted():
    with closing(Server(LOOPBACK)) as server, connected(server) as first:
        with connected(server) as second:
            assert second.recv(1) == b""
        assert server.turned_away_total == 1
        first.sendall(b"still here")
        assert server.read() == b"still here"
    assert url(("::1", 5), "socket") == "socket://[::1]:5"


def test_program_that_hangs_up_is_gone():
    with closing(Server(LOOPBACK)) as server:
        connected(server).close()
        assert server.read() == b""
        assert not server.is_present()
        assert server.write(b"x") == 0


def test_plain_bytes_and_telnet_escapes():
    with shared_port() as (_, server, client):
        assert server.write(b"a\xff\xffb") == 4
        while server.is_writing:
            server.write(b"")
        got = b""
        while not got.endswith(b"a\xff\xff\xff\xffb"):
            got += client.recv(100)
        client.sendall(b"c\xff\xffd")
        assert server.read() == b"c\xffd"


def test_rfc_2217_sets_speed_and_lines_of_the_boards_port():
    with shared_port() as (port, server, client):
        client.sendall(b"\xff\xfb\x2c")  # WILL COM-PORT-OPTION
        assert server.read() == b""
        client.sendall(b"\xff\xfa\x2c\x01" + (9600).to_bytes(4, "big") + b"\xff\xf0")
        client.sendall(b"\xff\xfa\x2c\x05\x09\xff\xf0")  # DTR off
        while (port.baudrate, port.dtr) != (9600, False):
            assert server.read() == b""
        assert port.serial.baudrate == 9600
    # They hold when the board comes back.
    assert port.baudrate == 9600


def test_speed_that_no_port_has_is_refused_and_the_line_goes_on():
    for rate in (2**32 - 1, 2**31, BAUDRATE_MAX + 1):
        with shared_port() as (port, server, client):
            client.sendall(b"\xff\xfb\x2c")
            asked = b"\xff\xfa\x2c\x01" + rate.to_bytes(4, "big").replace(b"\xff", b"\xff\xff")
            client.sendall(asked + b"\xff\xf0")
            answer = b"\xff\xfa\x2c\x65" + (115_200).to_bytes(4, "big") + b"\xff\xf0"
            client.settimeout(0.01)
            got = b""
            while answer not in got:
                assert server.read() == b""
                assert server.is_present()
                with suppress(TimeoutError):
                    got += client.recv(1000)
            assert port.baudrate == port.serial.baudrate == 115_200  # as it is opened again


def test_program_that_has_gone_is_known_before_it_is_read():
    with closing(Server(LOOPBACK)) as server:
        client = connected(server)
        assert not server.is_gone()
        client.sendall(b"the last")
        client.close()
        assert server.is_gone()
        assert server.read() == b"the last"
        assert server.read() == b""
        assert not server.is_present()
        assert not server.is_gone()


@given(parts=st.lists(st.binary(max_size=30) | st.sampled_from([b"\xff", b"\xff\xfa\x2c"])))
@settings(max_examples=60)
def test_nonsense_of_a_program_is_never_an_error(parts):
    port = BoardPort("/dev/absent", 115_200)  # a board that is away
    with closing(Server(LOOPBACK, port)) as server:
        with connected(server) as client:
            client.sendall(b"".join(parts) + b"\xff\xfa" + b"x" * 1000)
            client.shutdown(socket.SHUT_WR)
            while server.is_present():
                server.read()
                server.write(b"")
        assert server.broken_total <= 1
