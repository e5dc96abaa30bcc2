"""`pyv-edge-host`: everything an operator does. One file per command.

Exit status: 0 done, 1 done and the answer is no, 2 wrong usage or
configuration, 3 the computer refused something (port, file, store).
"""

import argparse
from importlib import import_module

from pyv_edge_core import __version__

# command: what it does, one line; its module is imported only when it is called
COMMANDS = {
    "run": "run the agent in the foreground",
    "demo": "boards, agent and cloud on this computer, and a ledger of every reading",
    "ledger": "account for every reading in a store",
    "audit": "check that nothing in a store was changed, or list what was done with it",
    "receive": "a small cloud endpoint to test against",
}


def main(argv: list[str] | None = None) -> int:
    """Run one command; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="pyv-edge-host", description="Operate a Pyvorin Edge host."
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, text in COMMANDS.items():
        module = import_module(f".{name}", __name__)
        module.add_arguments(commands.add_parser(name, help=text, description=text))
    args = parser.parse_args(argv)
    return int(import_module(f".{args.command}", __name__).run(args))
