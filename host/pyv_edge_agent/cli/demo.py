"""`pyv-edge-host demo`: the whole path on one computer, and a ledger at the end."""

import argparse

from .argument import between


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--seconds", type=between(1, 86400, int), default=10, help="of sampling (%(default)s)"
    )
    parser.add_argument(
        "--boards", type=between(1, 64, int), default=2, help="how many (%(default)s)"
    )
    parser.add_argument(
        "--rate",
        type=between(1, 2000, float),
        default=100.0,
        metavar="HZ",
        help="readings a second of each board (%(default)s)",
    )
    parser.add_argument(
        "--config", metavar="FILE", help="agent settings to use; devices, cloud and store are ours"
    )
    parser.add_argument("--json", action="store_true", help="last line is one JSON object")


def run(args: argparse.Namespace) -> int:
    """Run the demo; return 0 if something was uploaded and everything adds up."""
    from pyv_edge_tools import demo

    from ..config import Config

    settings = {} if args.config is None else Config.from_file(args.config).to_dict()
    return demo.run(
        seconds=args.seconds,
        boards=args.boards,
        rate_hz=args.rate,
        settings=settings,
        is_json=args.json,
    )
