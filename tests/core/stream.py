"""What a FrameDecoder makes of a stream, for the tests of frames and of console text."""

from pyv_edge_core.frame import SIZE_MAX, FrameDecoder


def state_of(decoder):
    return (
        decoder.frames_total,
        decoder.bad_fcs_total,
        decoder.oversize_total,
        decoder.console_bytes_total,
        decoder.noise_bytes_total,
    )


def decode(stream, size_max=SIZE_MAX, piece=None):
    """Return (messages, console text, counters) of `stream` fed in pieces of `piece` bytes."""
    decoder = FrameDecoder(size_max)
    messages = []
    console = b""
    piece = piece or len(stream)
    for start in range(0, len(stream), piece):
        messages.extend(decoder.feed(stream[start : start + piece]))
        console += decoder.take_console()
    return messages, console, state_of(decoder)
