"""`pyv-edge-host ledger`: what became of every reading, and whether it adds up."""

import argparse
import json
from typing import TYPE_CHECKING

from ..exit_status import DONE, NO
from .place import add_store, store_path

if TYPE_CHECKING:
    from ..store import Ledger


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_store(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Print the ledger; return 0 if it balances, 1 if it doesn't."""
    from ..store import read_ledger

    ledger = read_ledger(store_path(args))
    if args.json:
        print(json.dumps(ledger.to_dict()))
    else:
        print_ledger(ledger)
    return DONE if ledger.is_balanced else NO


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
        if not boot.is_end_known and boot.stream == "telemetry":
            remark += ", how it ended is not known"
        print(f"{boot.device:<24} {boot.boot:<8}{figures}  {_verdict(boot.is_balanced)}{remark}")
    if any(not boot.is_end_known for boot in ledger.boots):
        print(
            "how it ended is not known: power went, it crashed, or other boots came unheard;"
            " what a board sampled after its last report, one a minute, may have gone with its"
            " memory, and is in no figure"
        )
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
