"""A link over real terminals: a board that is plugged in, pulled, and comes back elsewhere."""

import os
import pty
import random
import tty
from contextlib import suppress
from types import SimpleNamespace

import pytest
from host.fakes import FakeBoard
from host.waiting import wait_for
from pyv_edge_agent.clock import SystemClock
from pyv_edge_agent.dating import TimedBatch
from pyv_edge_agent.link import SerialLink
from pyv_edge_agent.link_state import SEARCHING, UP
from pyv_edge_agent.port import SerialPort
from pyv_edge_core.host_event import Greeting


class Socket:
    """Where a board can be plugged in: each time another terminal, as a USB board gets."""

    def __init__(self):
        self.fd = None
        self.path = ""

    def plug(self):
        self.fd, near = pty.openpty()
        tty.setraw(near)
        self.path = os.ttyname(near)
        os.close(near)
        os.set_blocking(self.fd, False)

    def pull(self):
        os.close(self.fd)
        self.fd = None

    def ports(self):
        if self.fd is None:
            return []
        return [SimpleNamespace(device=self.path, vid=0x2E8A, pid=5, serial_number="E66")]

    # What FakeBoard.exchange wants of a port.

    def take_written(self):
        with suppress(OSError):  # nobody has opened the other end, or nothing has come
            return os.read(self.fd, 4096)
        return b""

    @property
    def incoming(self):
        return self

    def append(self, frame):
        os.write(self.fd, frame)


class Rig:
    def __init__(self):
        clock = SystemClock()
        self.socket = Socket()
        self.events = []
        port = SerialPort("usb:2e8a:5:e66", 115200, wait_s=0.001, ports=self.socket.ports)
        self.link = SerialLink("porch", port, clock, random.Random(1), self.inbox)
        self.board = FakeBoard(clock)

    def inbox(self, link, event):
        self.events.append(event)
        if isinstance(event, Greeting):
            link.welcome(event.hello.boot, (0, 0))
        return True

    def work_until(self, condition, what):
        def look():
            self.link.step()
            if self.socket.fd is not None:
                self.board.exchange(self.socket)
            return condition()

        wait_for(look, what)


@pytest.fixture
def rig():
    made = Rig()
    yield made
    made.link.stop()
    made.link.run()
    if made.socket.fd is not None:
        made.socket.pull()


def test_board_is_found_wherever_it_is_plugged_in(rig, log):
    rig.work_until(lambda: rig.link.problem, "the port to be missed")
    assert "serial port usb:2e8a:5:e66 is not there" in rig.link.problem
    paths = []
    for count in (1, 2):
        rig.socket.plug()
        paths.append(rig.socket.path)
        rig.board.greet_anew()
        rig.work_until(lambda: rig.link.state == UP, "the link to be up")
        assert rig.link.status()["port"] == f"usb:2e8a:5:e66 ({paths[-1]})"
        rig.board.sample(count)
        rig.work_until(lambda: rig.events and rig.events[-1].__class__ is TimedBatch, "a reading")
        rig.socket.pull()
        rig.work_until(lambda: rig.link.state == SEARCHING, "the link to miss its port")
    status = rig.link.status()
    assert (status["opens_total"], status["failures_total"]) == (2, 0)
    assert status["entered_total"]["searching"] == 3
    assert len(log.having("; it was up for ")) == 2
