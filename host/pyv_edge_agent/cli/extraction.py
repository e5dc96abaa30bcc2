"""Payloads out of a store, into a file or onto stdout."""

import argparse
import sys
from contextlib import ExitStack, closing

from ..clock import SystemClock
from ..disk import writing_whole
from ..errors import UsageError
from ..exit_status import DONE
from ..view import GAPS, PERIOD, PERIODS_MS, READINGS, SUMMARIES
from ..view.extraction import Advance, Extraction, Request
from .destination import destination
from .filters import MEASUREMENT
from .form import LINE_PROTOCOL, SENML, text_of
from .output import note, progress
from .selection import open_view, read_names, read_times


def extract_to(args: argparse.Namespace) -> int:
    """Do what `add_extraction` has declared; return the exit status.

    Raises what `open_view` does, and OSError.
    """
    request = _request(args, SystemClock().utc_ms())
    output = None if args.output in (None, "-") else destination(args, args.output)
    with closing(open_view(args)) as view, ExitStack() as stack:
        extraction = Extraction(view, request)
        advance: Advance | None = None
        if output is not None or not sys.stdout.isatty():  # else it would be in the way
            what = f"reading {request.kind}"
            advance = stack.enter_context(progress(what, extraction.size()))
        text = text_of(
            args.format, request.kind, extraction.pieces(advance), args.measurement or MEASUREMENT
        )
        if output is None:
            sys.stdout.writelines(text)
        else:
            with writing_whole(output) as file:
                file.writelines(one.encode() for one in text)
    if output is not None:
        note(f"{args.output}: {extraction.taken_total} {request.kind}")
    tell_withheld(extraction.withheld_total, request.kind, is_local=args.local)
    return DONE


def tell_withheld(count: int, what: str, *, is_local: bool) -> None:
    """Note how much the policy kept back, if it did."""
    if count:
        remedy = "" if is_local else "; --local shows what may be known at this machine"
        note(f"{count} {what} withheld by the privacy policy{remedy}")


def _request(args: argparse.Namespace, now_ms: int) -> Request:
    if args.kind != READINGS:
        if args.quality:
            raise UsageError(f"--quality: is of readings, not of {args.kind}")
        if args.format == SENML:
            raise UsageError(f"--format: senml is for readings, not for {args.kind}")
    if args.kind == GAPS and args.sensor:
        raise UsageError("--sensor: gaps are of devices; use --device")
    if args.kind != SUMMARIES and args.period:
        raise UsageError(f"--period: is of summaries, not of {args.kind}")
    if args.measurement is not None and args.format != LINE_PROTOCOL:
        raise UsageError(f"--measurement: is of --format {LINE_PROTOCOL}, not of {args.format}")
    if args.measurement == "":
        raise UsageError("--measurement: must not be empty; leave it out")
    if args.force and args.output is None:
        raise UsageError("--force: is of --output FILE; name one")
    return Request(
        args.kind,
        read_names(args),
        args.quality,
        read_times(args, now_ms),
        args.limit,
        PERIODS_MS[args.period or PERIOD],
    )
