"""Who a board is, as its HELLO says it."""

from . import channel_table, message
from ._compat import TYPE_CHECKING
from .record_ring import RecordRing

if TYPE_CHECKING:
    from collections.abc import Sequence

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

    def hello(
        self,
        uptime_s: int,
        uptime_ms: int,
        channels: "Sequence[Channel | channel_table.AlertRow]",
        telemetry: RecordRing,
        events: RecordRing,
        greeting: int,
        challenge: "tuple[int, int]",
    ) -> bytes:
        """Return the HELLO message that announces `channels` and what the rings hold."""
        return message.pack(
            message.HELLO,
            self.boot & 0xFFFF,
            self.boot,
            uptime_s,
            uptime_ms,
            message.VERSION_MIN,
            message.VERSION,
            self.reset_cause,
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
            greeting,
            *challenge,
            self.device,
            self.board,
            self.firmware,
            self.core,
        )
