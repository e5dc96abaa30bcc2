"""`pyv-edge-host query`: show the newest of what is stored, as a table or in another form."""

import argparse

from .filters import add_extraction
from .place import add_store


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_store(parser)
    add_extraction(parser, form="table", limit=100)


def run(args: argparse.Namespace) -> int:
    """Show what fits; return the exit status."""
    from .extraction import extract_to

    return extract_to(args)
