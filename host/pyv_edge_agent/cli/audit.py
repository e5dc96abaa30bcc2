"""`pyv-edge-host audit`: what was done with the evidence, and whether it is as it was."""

import argparse
import json
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "what", choices=("verify", "list"), help="check everything, or show the log"
    )
    place = parser.add_mutually_exclusive_group(required=True)
    place.add_argument("--config", metavar="FILE", help="the agent's configuration")
    place.add_argument("--db", metavar="FILE", help="the store itself")
    parser.add_argument(
        "--checkpoint",
        metavar="ID:HASH",
        help="with verify: audit_id and hash of a checkpoint that a sink has",
    )
    parser.add_argument(
        "--limit", type=int, default=100, help="with list: newest rows (%(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Verify or list; return 0 if everything fits, 1 if it doesn't."""
    from ..config import Config
    from ..errors import ConfigError, StoreError

    try:
        path = args.db if args.db is not None else Config.from_file(args.config).store_path
        return _verify(path, args) if args.what == "verify" else _list(path, args)
    except (ConfigError, FileNotFoundError) as error:
        print(error, file=sys.stderr)
        return 2
    except StoreError as error:
        print(error, file=sys.stderr)
        return 2 if str(error).startswith("--") else 3


def _verify(path: "str | Path", args: argparse.Namespace) -> int:
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
    return 0 if verdict.fits else 1


def _list(path: "str | Path", args: argparse.Namespace) -> int:
    from ..store import list_audit

    if args.limit < 1:
        print(f"--limit: {args.limit} is below 1", file=sys.stderr)
        return 2
    rows = list_audit(path, args.limit)
    if args.json:
        print(json.dumps({"audit_logs": rows}))
        return 0
    for row in rows:
        print(f"{row['id']:>6} {row['time']} {row['action']:<20} {json.dumps(row['details'])}")
    return 0
