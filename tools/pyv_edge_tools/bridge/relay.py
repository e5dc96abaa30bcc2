"""`pyv-edge-bridge relay`: shares a board's port, bytes unchanged.

With `--link` as a port on this computer, with `--tcp` over the network, there
with `--rfc2217` including its settings.
"""

import argparse

from . import line
from .errors import UsageError
from .options import add_end, add_limits, add_port
from .output import Watcher, carried_line


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add_port(parser)
    add_end(parser)
    add_limits(parser)


def run(args: argparse.Namespace) -> int:
    """Relay until it is to end; return 1 if lines of the output are missing."""
    if args.link is None and args.tcp is None:
        raise UsageError("relay: --link PATH or --tcp PORT is missing: what is to be opened?")
    output = line.make_output(args)
    counted = line.run(args, output, lambda: [Watcher(output)])
    output.conclude({"event": "summary", "carried": counted}, carried_line(counted))
    return output.status
