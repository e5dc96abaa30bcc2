"""`pyv-edge-bridge record`: what passes, with times, into a capture.

When the file is full, or the disk, the line is carried on if there is a program
at its other end: a recording is no reason to cut an agent off. Its output is no
reason to end a recording either.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

from . import capture, line
from .carrier import now_ns
from .chunk import Chunk, Seen
from .errors import BridgeError
from .options import add_end, add_limits, add_port, count
from .output import carried_line
from .stdio import complain
from .steady_output import SteadyOutput


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add_port(parser)
    parser.add_argument("output", type=Path, metavar="FILE", help="the capture to write")
    parser.add_argument(
        "--max-bytes",
        type=count,
        default=capture.SIZE_MAX,
        metavar="N",
        help="of the file (%(default)s)",
    )
    parser.add_argument("--force", action="store_true", help="replace FILE if it exists")
    add_end(parser)
    add_limits(parser)


class Recorder:
    """A looker that writes."""

    def __init__(self, args: argparse.Namespace) -> None:
        """Begin the file. Raises BridgeError."""
        self.problem = ""  # why nothing more is written; "": it is
        self._path = args.output
        self._file = capture.create(args.output, is_replaced=args.force)
        try:
            self.writer = capture.Writer(self._file, now_ns(), time.time_ns(), args.max_bytes)
        except OSError as error:
            raise BridgeError(f"{self._path}: can't be written: {error.strerror}") from error

    def take(self, seen: Seen) -> None:
        """Take the next of what happened."""
        if not self.problem:
            self._guard(lambda: self.writer.take(seen))
        elif isinstance(seen, Chunk):
            self.writer.left_out_bytes_total += len(seen.data)

    def tick(self) -> None:
        """Let who follows see it."""
        if not self.problem:
            self._guard(self.writer.flush)

    def end(self) -> None:
        """Write what is left."""
        self.tick()
        self._guard(self._file.close)

    def _guard(self, work: Callable[[], None]) -> None:
        try:
            work()
        except OSError as error:
            if not self.problem:  # closing it fails for the same reason
                self.problem = f"{self._path}: {error.strerror}; nothing more is recorded"
                complain(self.problem)


def run(args: argparse.Namespace) -> int:
    """Record until it is to end; return 1 if the file or the output could not be written."""
    output = SteadyOutput(is_json=args.json, is_needed=True)  # the file is what it is there for
    made: list[Recorder] = []

    def make_lookers() -> list[Recorder]:
        made.append(Recorder(args))
        return made

    is_alone = args.link is None and args.tcp is None

    def is_done() -> bool:
        return is_alone and (made[0].writer.is_full or bool(made[0].problem))

    counted = line.run(args, output, make_lookers, is_done=is_done)
    (recorder,) = made
    writer = recorder.writer
    told = {
        "event": "summary",
        "file": str(args.output),
        "records_total": writer.records_total,
        "size_bytes": writer.size_bytes,
        "left_out_bytes_total": writer.left_out_bytes_total,
        "carried": counted,
    }
    full = f"; it is full, {writer.left_out_bytes_total} bytes more passed" * writer.is_full
    text = f"{args.output}: {writer.records_total} records, {writer.size_bytes} bytes{full}"
    output.conclude(told, f"{text}\n{carried_line(counted)}")
    return 1 if recorder.problem else output.status
