"""Frames and their decoder, for operations.py."""

from pyv_edge_core import frame
from pyv_edge_core.frame import FrameDecoder
from script import Subject


def _look(decoder):
    return (
        decoder.frames_total,
        decoder.bad_fcs_total,
        decoder.oversize_total,
        decoder.console_bytes_total,
        decoder.noise_bytes_total,
        len(decoder._pending),  # that it stays small is a promise of its own
    )


FRAME = Subject(
    "frame",
    FrameDecoder,
    _look,
    {
        "encode": lambda decoder, message: frame.encode(bytes.fromhex(message)),
        "encode_for_board": lambda decoder, message: frame.encode_for_board(
            bytes.fromhex(message)
        ),
        "feed": lambda decoder, piece: decoder.feed(bytes.fromhex(piece)),
        "take_console": FrameDecoder.take_console,
    },
    (),
)
