"""`pyv-edge-host ledger`: what became of every reading, and whether it adds up."""

import argparse
import json
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..store import Ledger


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    place = parser.add_mutually_exclusive_group(required=True)
    place.add_argument("--config", metavar="FILE", help="the agent's configuration")
    place.add_argument("--db", metavar="FILE", help="the store itself")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Print the ledger; return 0 if it balances, 1 if it doesn't."""
    from ..config import Config
    from ..errors import ConfigError, StoreError
    from ..store import read_ledger

    try:
        path = args.db if args.db is not None else Config.from_file(args.config).store_path
        ledger = read_ledger(path)
    except (ConfigError, FileNotFoundError) as error:
        print(error, file=sys.stderr)
        return 2
    except StoreError as error:
        print(error, file=sys.stderr)
        return 3
    if args.json:
        print(json.dumps(ledger.to_dict()))
    else:
        print_ledger(ledger)
    return 0 if ledger.is_balanced else 1


def print_ledger(ledger: "Ledger") -> None:
    """Print the accounts as a table for people."""
    columns = ("sampled", "stored", "denied", "aggregated", "lost", "reset", "in_flight")
    print(f"{'device':<24} {'boot':<8}" + "".join(f" {name:>10}" for name in columns))
    for boot in ledger.boots:
        figures = "".join(f" {getattr(boot, name):>10}" for name in columns)
        remark = "" if boot.stream == "telemetry" else f" ({boot.stream})"
        if boot.expired or boot.evicted:
            remark += f", of the stored {boot.expired} expired, {boot.evicted} evicted"
        if boot.late:
            remark += f", {boot.late} measurements missed"
        print(f"{boot.device:<24} {boot.boot:<8}{figures}  {_verdict(boot.is_balanced)}{remark}")
    for sink in ledger.sinks:
        print(
            f"sink {sink.name}: {sink.acknowledged} acknowledged, {sink.withheld} withheld,"
            f" {sink.dead} dead, {sink.evicted} evicted, {sink.missed} missed,"
            f" {sink.pending} pending"
            f"  {_verdict(sink.is_balanced)}"
        )
    print(f"{ledger.events} events, {ledger.gaps} gaps, {ledger.items} queued items")


def _verdict(is_balanced: bool) -> str:
    return "balances" if is_balanced else "DOES NOT BALANCE"
