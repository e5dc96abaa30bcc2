"""`pyv-edge-host completion`: what makes a shell complete commands and options."""

import argparse

from ..exit_status import DONE

SHELLS = ("bash", "zsh", "tcsh")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("shell", choices=SHELLS, help="whose code is printed")


def run(args: argparse.Namespace) -> int:
    """Print the code; return the exit status. Raises UsageError without the library for it."""
    from ..errors import UsageError
    from . import COMMANDS, make_parser

    try:
        import shtab
    except ImportError:
        raise UsageError("shtab is not installed: pip install '.[tui]' in a clone") from None
    print(shtab.complete(make_parser(COMMANDS), shell=args.shell))
    return DONE
