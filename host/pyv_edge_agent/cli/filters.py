"""Options that say what is taken out of a store; `selection` does what they say."""

import argparse

from pyv_edge_core.reading import QUALITY_NAMES

from ..view import KINDS, PERIOD, PERIODS_MS
from .argument import positive

FORMS = ("table", "csv", "ndjson", "senml", "line-protocol")
MEASUREMENT = "pyvorin"


def add_channels(parser: argparse.ArgumentParser) -> None:
    """Declare which channels are wanted, and --local."""
    parser.add_argument(
        "--sensor",
        action="append",
        metavar="PATTERN",
        help="sensors whose name fits, with * and ?; may be given again for more",
    )
    parser.add_argument(
        "--device", action="append", metavar="PATTERN", help="the same of names of devices"
    )
    add_local(parser)


def add_local(parser: argparse.ArgumentParser) -> None:
    """Declare --local."""
    parser.add_argument(
        "--local",
        action="store_true",
        help="what may be known at this machine, not only what may leave it",
    )


def add_quality(parser: argparse.ArgumentParser) -> None:
    """Declare --quality."""
    parser.add_argument(
        "--quality",
        action="append",
        choices=QUALITY_NAMES,
        help="readings of this quality; may be given again",
    )


def add_times(parser: argparse.ArgumentParser) -> None:
    """Declare --since and --until."""
    what = "ISO-8601, UTC unless it says otherwise, or how long ago: 90s, 2h, 7d"
    parser.add_argument("--since", metavar="TIME", help=f"from then on; {what}")
    parser.add_argument("--until", metavar="TIME", help="to before then")


def add_extraction(parser: argparse.ArgumentParser, *, form: str, limit: int | None) -> None:
    """Declare what `query` and `export` have in common, with their defaults."""
    parser.add_argument(
        "kind", nargs="?", choices=KINDS, default=KINDS[0], help="what of (%(default)s)"
    )
    add_channels(parser)
    add_quality(parser)
    add_times(parser)
    parser.add_argument(
        "--limit",
        type=positive,
        default=limit,
        metavar="N",
        help="the newest so many (%(default)s)" if limit else "the newest so many (all)",
    )
    parser.add_argument("--period", choices=PERIODS_MS, help=f"of summaries ({PERIOD})")
    forms = parser.add_mutually_exclusive_group()
    forms.add_argument("--format", choices=FORMS, default=form, help="(%(default)s)")
    forms.add_argument(
        "--json",
        dest="format",
        action="store_const",
        const="ndjson",
        help="short for --format ndjson: a JSON object a line",
    )
    parser.add_argument("--measurement", help=f"name in line protocol ({MEASUREMENT})")
    parser.add_argument(
        "--output", metavar="FILE", help="written whole or not at all, in place of stdout"
    )
    parser.add_argument("--force", action="store_true", help="replace that FILE if it is there")
