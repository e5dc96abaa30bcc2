"""`pyv-edge-bridge stats`: counts what is in a capture, or passes over a line."""

import argparse
from pathlib import Path

from . import capture, line
from .options import add_end, add_key, add_limits, add_port
from .output import Watch, carried_line, summary_lines, tell
from .seal_check import read_key
from .stdio import complain


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add_port(parser, "PORT|CAPTURE")
    add_end(parser)
    add_limits(parser)
    add_key(parser)


def run(args: argparse.Namespace) -> int:
    """Count; return 1 if a capture is damaged, though what could be read is counted.

    Of a line: return 1 if lines of the output are missing.
    """
    watch = Watch(read_key(args.link_key_file) if args.link_key_file else b"", None)
    path = Path(args.port)
    if path.is_file():
        line.refuse_end(args)
        reader = capture.Reader(path)
        for seen in reader.read():
            watch.take(seen)
        watch.end()
        reader.close()
        if reader.problem:
            complain(reader.problem)
        summary = watch.statistic.summary()
        tell(args, {"event": "summary", **summary}, "\n".join(summary_lines(summary)))
        return 1 if reader.is_damaged else 0
    output = line.make_output(args)
    counted = line.run(args, output, lambda: [watch])
    summary = watch.statistic.summary()
    lines = [*summary_lines(summary), carried_line(counted)]
    output.conclude({"event": "summary", "carried": counted, **summary}, "\n".join(lines))
    return output.status
