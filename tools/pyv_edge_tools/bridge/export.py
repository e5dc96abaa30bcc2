"""`pyv-edge-bridge export`: a pcapng file of a capture, for Wireshark; its dissector."""

import argparse
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from pyv_edge_core import __version__

from . import PROGRAM, capture, pcapng
from .errors import BridgeError, UsageError
from .options import add_json
from .output import Watch, tell
from .stdio import complain, put


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("capture", nargs="?", type=Path, metavar="CAPTURE")
    parser.add_argument("output", nargs="?", type=Path, metavar="FILE", help="such as a.pcapng")
    parser.add_argument("--force", action="store_true", help="replace FILE if it exists")
    parser.add_argument(
        "--dissector",
        action="store_true",
        help="print a Lua script for Wireshark's plugin folder, and nothing else",
    )
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Write it; return 1 if the capture is damaged, though what could be read is written."""
    if args.dissector:
        from .dissector import script

        put(script(), end="")
        return 0
    if args.capture is None or args.output is None:
        raise UsageError("export: CAPTURE and FILE are needed, or --dissector")
    reader = capture.Reader(args.capture)
    if args.output.exists() and args.output.samefile(args.capture):
        raise UsageError(f"export: {args.output}: is the capture; name another file")
    file = capture.create(args.output, is_replaced=args.force)
    with ExitStack() as unfinished:
        unfinished.callback(args.output.unlink, missing_ok=True)
        writer = _write(file, args.output, reader)
        unfinished.pop_all()
    reader.close()
    if reader.problem:
        complain(reader.problem)
    told = {
        "event": "summary",
        "file": str(args.output),
        "packets_total": writer.packets_total,
        "left_out_total": writer.left_out_total,
    }
    tell(
        args,
        told,
        f"{args.output}: {writer.packets_total} packets; {writer.left_out_total} remarks and"
        " pieces of noise left out",
    )
    return 1 if reader.is_damaged else 0


def _write(file: IO[bytes], path: Path, reader: capture.Reader) -> pcapng.Writer:
    """Write all of the capture and close `file`. Raises BridgeError."""
    try:
        with file:
            writer = pcapng.Writer(file, reader.begun_utc_ns, f"{PROGRAM} {__version__}")
            watch = Watch(b"", writer.take)
            for seen in reader.read():
                watch.take(seen)
            watch.end()
    except OSError as error:
        raise BridgeError(f"{path}: can't be written: {error.strerror}") from error
    return writer
