"""`pyv-edge-host export`: all that is stored, for other programs."""

import argparse

from .filters import add_extraction
from .place import add_store


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_store(parser)
    add_extraction(parser, form="csv", limit=None)


def run(args: argparse.Namespace) -> int:
    """Write what fits; return the exit status."""
    from .extraction import extract_to

    return extract_to(args)
