"""A SerialLink on the bench: a fake port, the core's own board, a clock that a test moves."""

import random

from host.fakes import FakeBoard, FakeClock, FakePort, FixedRandom
from pyv_edge_agent.link import SerialLink
from pyv_edge_agent.link_state import UP
from pyv_edge_core.host_event import Greeting


class Rig:
    """A link, its board, and an agent that answers as Ingest would."""

    def __init__(self, share=1.0, key=b"", settings_file=None, **board):
        self.clock = FakeClock()
        self.port = FakePort()
        self.rng = FixedRandom(share)
        self.events = []
        self.takes = True  # whether the inbox has room
        self.answers = True  # whether greetings are welcomed
        self.link = SerialLink(
            "porch",
            self.port,
            self.clock,
            self.rng,
            self.inbox,
            key=key,
            random_bits=random.Random(7).getrandbits,
            settings_file=settings_file,
        )
        self.board_settings = board
        self.board = FakeBoard(self.clock, **board)

    def inbox(self, link, event):
        assert link is self.link
        if not self.takes:
            return False
        self.events.append(event)
        if isinstance(event, Greeting) and self.answers:
            link.welcome(event.hello.boot, (0, 0))
        return True

    def of(self, kind):
        return [event for event in self.events if isinstance(event, kind)]

    def pump(self, rounds=10, ms=5, latency_ms=0):
        for _ in range(rounds):
            self.link.step()
            self.clock.advance(latency_ms)
            self.board.exchange(self.port)
            self.clock.advance(ms)

    def up(self):
        self.pump()
        assert self.link.state == UP
        return self

    def reboot(self, boot, **board):
        """Put another boot at the far end of the cable."""
        self.board = FakeBoard(self.clock, boot=boot, **{**self.board_settings, **board})
        self.port.take_written()
        self.port.incoming.clear()

    def hush(self, ms):
        """Let time pass in which nothing comes from the board."""
        for _ in range(ms // 250):
            self.link.step()
            self.port.take_written()
            self.clock.advance(250)
