"""`pyv-edge-host receive`: the reference endpoint that users test against."""

import argparse

from ..errors import UsageError
from .argument import between


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--port", type=between(0, 65_535, int), required=True, help="to listen on; 0: any free one"
    )
    parser.add_argument("--db", required=True, metavar="FILE", help="where readings are kept")
    parser.add_argument("--host", default="127.0.0.1", help="address (%(default)s)")
    parser.add_argument(
        "--script",
        default="",
        metavar="REPLIES",
        help="how it misbehaves, such as '503*3, 429:2, hang:5, half, die'; then all is well",
    )
    parser.add_argument("--cert", metavar="FILE", help="PEM; with --key, it speaks https")
    parser.add_argument("--key", metavar="FILE", help="PEM")
    parser.add_argument("--json", action="store_true", help="say where it listens as JSON")


def run(args: argparse.Namespace) -> int:
    """Receive until Ctrl-C; return the exit status."""
    from pyv_edge_tools import receiver

    certificate = None
    if args.cert is not None or args.key is not None:
        if args.cert is None or args.key is None:
            raise UsageError("--cert and --key: give both, or none")
        certificate = (args.cert, args.key)
    return receiver.run(args.host, args.port, args.db, args.script, certificate, is_json=args.json)
