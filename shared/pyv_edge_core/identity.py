"""Who a board is, as its HELLO says it."""

from . import channel_table, message
from ._compat import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from .reading import Channel


class Identity:
    """One boot of one board."""

    def __init__(self, device: str, boot: int, board: str, firmware: str, core: str) -> None:
        self.device = device
        self.boot = boot
        self.board = board
        self.firmware = firmware
        self.core = core
        self.reset_cause = 0  # index into message_to_host.RESET_CAUSES
        self.config_hash = 0
        self.policy_hash = 0
        self.firmware_hash = 0  # of the set of files that runs; 0: it has no manifest
        self.boots = 0  # how often the board has booted; 0: it doesn't count
        self.flags = 0  # message.HELLO_...
        # The latest boot that ended on purpose, 0: unknown; what it had sampled and denied.
        self.last = (0, 0, 0)
        # With HELLO_OVER: uptime up to which the boot is known, and that of boots since, in all.
        self.end_s = self.end_ms = self.since_s = 0

    @property
    def tag(self) -> int:
        """What messages of this boot carry."""
        return message.tag_of(self.boot, self.flags)

    def hello(
        self,
        uptime_s: int,
        uptime_ms: int,
        channels: "Sequence[Channel | channel_table.AlertRow]",
        telemetry: "Any",
        events: "Any",
        greeting: int,
        challenge: "tuple[int, int]",
    ) -> bytes:
        """Return the HELLO message that announces `channels` and what the rings hold."""
        if self.flags & message.HELLO_OVER:
            uptime_s, uptime_ms = self.end_s, self.end_ms
        return message.pack(
            message.HELLO,
            self.tag,
            self.boot,
            uptime_s,
            uptime_ms,
            message.VERSION_MIN,
            message.VERSION,
            self.reset_cause,
            self.flags,
            len(channels),
            channel_table.crc(channels),
            telemetry.first_seq,
            telemetry.next_seq,
            events.first_seq,
            events.next_seq,
            telemetry.capacity,
            telemetry.dropped_total,
            self.config_hash,
            self.policy_hash,
            self.firmware_hash,
            self.boots,
            greeting,
            *challenge,
            *self.last,
            self.device,
            self.board,
            self.firmware,
            self.core,
        )
