"""`pyv-edge-bridge stats`: counts what is in a capture, or passes over a line."""

import argparse
import sys
from pathlib import Path

from . import capture, line
from .options import add_end, add_key, add_limits, add_port
from .output import Watch, carried_line, summary_lines, tell
from .seal_check import read_key


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add_port(parser, "PORT|CAPTURE")
    add_end(parser)
    add_limits(parser)
    add_key(parser)


def run(args: argparse.Namespace) -> int:
    """Count; return 1 if a capture is damaged, though what could be read is counted."""
    watch = Watch(read_key(args.link_key_file) if args.link_key_file else b"", None)
    path = Path(args.port)
    told: dict[str, object] = {"event": "summary"}
    lines: list[str] = []
    is_damaged = False
    if path.is_file():
        line.refuse_end(args)
        reader = capture.Reader(path)
        for seen in reader.read():
            watch.take(seen)
        watch.end()
        reader.close()
        is_damaged = reader.is_damaged
        if reader.problem:
            print(reader.problem, file=sys.stderr)
    else:
        counted = line.run(args, lambda: [watch])
        told["carried"] = counted
        lines = [carried_line(counted)]
    summary = watch.statistic.summary()
    tell(args, {**told, **summary}, "\n".join([*summary_lines(summary), *lines]))
    return 1 if is_damaged else 0
