"""`pyv-edge-host receive`: the reference endpoint that users test against."""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--port", type=int, required=True, help="to listen on; 0: any free one")
    parser.add_argument("--db", required=True, metavar="FILE", help="where readings are kept")
    parser.add_argument("--host", default="127.0.0.1", help="address (%(default)s)")


def run(args: argparse.Namespace) -> int:
    """Receive until Ctrl-C; return the exit status."""
    from pyv_edge_tools import receiver

    return receiver.run(args.host, args.port, args.db)
