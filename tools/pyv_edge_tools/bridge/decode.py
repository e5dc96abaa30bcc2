"""`pyv-edge-bridge decode`: takes bytes apart, whatever they come in.

Bytes may be given as hex or in a file (`-` is standard input): a capture, hex
in a text, or the bytes themselves. Hex without a single flag (7E) is one
message, with or without its FCS.
"""

import argparse
import sys
from binascii import crc32
from pathlib import Path

from pyv_edge_core import message, seal
from pyv_edge_core.frame import FCS_SIZE, FLAG

from . import PROGRAM, capture
from .chunk import TO_BOARD, TO_HOST, Chunk, Note
from .errors import BridgeError, UsageError
from .event import Event, Message
from .options import add_json, add_key
from .output import Show, Watch, printer
from .seal_check import read_key
from .stdio import complain
from .tap import unstuffed

SIZE_MAX = 67_108_864  # bytes of a file that is no capture
_HEX = b"0123456789abcdefABCDEF \t\r\n"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("hex", nargs="*", metavar="HEX", help="bytes in hex, spaces allowed")
    parser.add_argument("--file", metavar="FILE", help="a capture, hex or bytes; - is stdin")
    add_key(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Print what it means; return 1 if nothing could be read, or something is damaged."""
    if bool(args.hex) == (args.file is not None):
        raise UsageError("decode: give bytes in hex, or --file, one of them")
    key = read_key(args.link_key_file) if args.link_key_file else b""
    show = _sided(printer(is_json=args.json, begun_ns=0, has_readings=True), args.file)
    watch = Watch(key, show)
    problem = ""
    if args.file not in (None, "-") and capture.is_capture(Path(args.file)):
        reader = capture.Reader(Path(args.file))
        for seen in reader.read():
            watch.take(seen)
        problem = reader.problem
        reader.close()
        if problem:
            complain(problem)
    else:
        data = _from_hex(" ".join(args.hex)) if args.hex else _from_file(args.file)
        _take(watch, data)
    watch.end()
    found = watch.statistic
    damage = found.damage()
    is_bad = any(damage[name] for name in ("bad_fcs_total", "oversize_total", "unreadable_total"))
    is_empty = not (found.messages or found.lines_total)
    if is_empty and not is_bad and not problem:
        complain(f"{PROGRAM}: decode: neither a message nor text is in it")
    return 1 if is_bad or problem or is_empty else 0


def _sided(show: Show, name: str | None) -> Show:
    """Return a `show` that knows who says what: bytes alone don't tell, but the type does."""
    if name not in (None, "-") and capture.is_capture(Path(str(name))):
        return show

    def sided(seen: Event | Note) -> None:
        if isinstance(seen, Message) and seen.kind in message.TO_BOARD:
            seen = seen._replace(direction=TO_BOARD)
        show(seen)

    return sided


def _take(watch: Watch, data: bytes) -> None:
    if FLAG in data or not _is_message(data):
        for start in range(0, len(data), capture.READ_SIZE):
            watch.take(Chunk(0, TO_HOST, data[start : start + capture.READ_SIZE]))
        return
    body = unstuffed(data)
    is_framed = len(body) > FCS_SIZE and crc32(body[:-FCS_SIZE]) == int.from_bytes(
        body[-FCS_SIZE:], "little"
    )
    watch.message(watch.tap.read(0, TO_HOST, body[:-FCS_SIZE] if is_framed else data))


def _is_message(data: bytes) -> bool:
    """Return whether `data` can be a bare message, or a frame without its flags."""
    known = range(1, message.RESULT + 1)
    return len(data) > 1 and data[0] == message.VERSION and data[1] & ~seal.SEALED in known


def _from_hex(text: str) -> bytes:
    digits = "".join(text.split()).removeprefix("0x").replace(":", "")
    try:
        return bytes.fromhex(digits)
    except ValueError as error:
        wrong = next((one for one in digits if one not in "0123456789abcdefABCDEF"), "")
        reason = f"{wrong!r} is no hex digit" if wrong else f"{len(digits)} digits, one is missing"
        raise UsageError(f"decode: {reason}") from error


def _from_file(name: str) -> bytes:
    try:
        if name == "-":
            data = sys.stdin.buffer.read(SIZE_MAX + 1)
        else:
            with Path(name).open("rb") as file:
                data = file.read(SIZE_MAX + 1)
    except OSError as error:
        raise BridgeError(f"{name}: can't be read: {error.strerror}") from error
    if len(data) > SIZE_MAX:
        raise BridgeError(f"{name}: has more than {SIZE_MAX} bytes; record makes captures")
    if data and not data.strip(_HEX):
        return _from_hex(data.decode())
    return data
