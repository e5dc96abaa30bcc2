"""`pyv-edge-bridge monitor`: what passes over a line, live.

On a board's port it stands between board and agent if the agent opens its
`--link`, and else only listens. On a capture it follows what `record` writes.
A terminal gets a table (with rich), everything else a line per event.
"""

import argparse
import sys
import time
from pathlib import Path

from . import capture, line
from .carrier import now_ns
from .options import add_end, add_key, add_limits, add_port
from .output import Show, Watch, carried_line, printer, summary_lines, tell
from .seal_check import read_key

_FOLLOW_S = 0.1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add_port(parser, "PORT|CAPTURE")
    add_end(parser)
    add_limits(parser)
    add_key(parser)
    parser.add_argument("--plain", action="store_true", help="lines, also at a terminal")
    parser.add_argument("--readings", action="store_true", help="a line for each reading, too")


def run(args: argparse.Namespace) -> int:
    """Show it until it is to end."""
    key = read_key(args.link_key_file) if args.link_key_file else b""
    path = Path(args.port)
    if path.is_file():
        return _follow(args, path, key)
    begun_ns = now_ns()
    table = _table(args, key, begun_ns)
    watch = table or Watch(key, _printer(args, begun_ns))
    counted = line.run(args, lambda: [watch])
    _sum_up(args, watch, counted)
    return 0


def _printer(args: argparse.Namespace, begun_ns: int) -> Show:
    return printer(is_json=args.json, begun_ns=begun_ns, has_readings=args.readings)


def _table(args: argparse.Namespace, key: bytes, begun_ns: int) -> Watch | None:
    """Return the live table, None where there is no terminal or no rich."""
    if args.json or args.plain or args.readings or not sys.stdout.isatty():
        return None
    try:
        from .table import Table
    except ImportError:
        print("pip install 'pyv-edge[tui]' shows a table here", file=sys.stderr)
        return None
    return Table(key, args.port, begun_ns)


def _follow(args: argparse.Namespace, path: Path, key: bytes) -> int:
    """Show what is in a capture and what is still written to it."""
    line.refuse_end(args)
    reader = capture.Reader(path)
    watch = _table(args, key, 0) or Watch(key, _printer(args, 0))
    until_s = None if args.seconds is None else time.monotonic() + args.seconds
    is_asked: list[bool] = []
    with line.ended_by_signals(lambda: is_asked.append(True)):
        while not is_asked and not reader.is_damaged:
            for seen in reader.read():
                watch.take(seen)
            watch.tick()
            if until_s is not None and time.monotonic() >= until_s:
                break
            time.sleep(_FOLLOW_S)
    watch.end()
    reader.close()
    _sum_up(args, watch, None)
    if reader.problem:
        print(reader.problem, file=sys.stderr)
    return 1 if reader.is_damaged else 0


def _sum_up(args: argparse.Namespace, watch: Watch, counted: dict[str, int] | None) -> None:
    summary = watch.statistic.summary()
    lines = summary_lines(summary)
    told = {"event": "summary", **summary}
    if counted is not None:
        told["carried"] = counted
        lines.append(carried_line(counted))
    tell(args, told, "\n".join(lines))
