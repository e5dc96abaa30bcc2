"""`pyv-edge-host audit`: what was done with the evidence, and whether it is as it was."""

import argparse
import json
from typing import TYPE_CHECKING

from ..errors import UsageError
from ..exit_status import DONE, NO
from .argument import positive
from .place import add_store, store_path

if TYPE_CHECKING:
    from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "what", choices=("verify", "list"), help="check everything, or show the log"
    )
    add_store(parser)
    parser.add_argument(
        "--checkpoint",
        metavar="ID:HASH",
        help="with verify: audit_id and hash of a checkpoint that a sink has",
    )
    parser.add_argument(
        "--limit", type=positive, default=100, help="with list: newest rows (%(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Verify or list; return 0 if everything fits, 1 if it doesn't."""
    path = store_path(args)
    if args.what == "list" and args.checkpoint is not None:
        raise UsageError("--checkpoint: is of audit verify")
    return _verify(path, args) if args.what == "verify" else _list(path, args)


def _verify(path: "Path", args: argparse.Namespace) -> int:
    from ..store import parse_checkpoint, verify

    checkpoint = parse_checkpoint(args.checkpoint) if args.checkpoint is not None else None
    verdict = verify(path, checkpoint)
    if args.json:
        print(json.dumps(verdict.to_dict()))
    else:
        for problem in verdict.problems:
            print(problem)
        print(
            f"{verdict.audit_rows} rows of the audit log, {verdict.readings} readings in"
            f" {verdict.blocks} blocks: {'all fit' if verdict.fits else 'THEY DO NOT FIT'};"
            f" {verdict.unsealed} readings are not sealed yet"
        )
        print(f"head of the audit log: {verdict.audit_rows}:{verdict.head}")
    return DONE if verdict.fits else NO


def _list(path: "Path", args: argparse.Namespace) -> int:
    from ..store import list_audit

    rows = list_audit(path, args.limit)
    if args.json:
        print(json.dumps({"audit_logs": rows}))
        return DONE
    for row in rows:
        print(f"{row['id']:>6} {row['time']} {row['action']:<20} {json.dumps(row['details'])}")
    return DONE
