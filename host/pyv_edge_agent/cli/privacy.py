"""`pyv-edge-host privacy explain`: which rule decides about a sensor, and what becomes of it."""

import argparse
from typing import Any

from ..exit_status import DONE
from .filters import add_local
from .place import add_store


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    whats = parser.add_subparsers(dest="what", metavar="WHAT", required=True)
    text = "say which rule decides about a sensor, or about every channel in the store"
    explain = whats.add_parser("explain", help=text, description=text)
    explain.add_argument(
        "sensor", nargs="?", metavar="SENSOR", help="its name (every channel in the store)"
    )
    explain.add_argument(
        "--device", metavar="NAME", help="its device (what is before the first dot)"
    )
    explain.add_argument(
        "--channel", metavar="NAME", help="its channel (what is behind the first dot)"
    )
    explain.add_argument(
        "--metadata", nargs="+", default=[], metavar="KEY", help="keys to explain, such as gps.lat"
    )
    add_store(explain)
    add_local(explain)
    explain.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Explain; return the exit status."""
    import json
    from pathlib import Path

    from ..errors import UsageError
    from ..series import polled_names
    from .explanation import Explainer
    from .place import load_config

    config = load_config(args)
    explainer = Explainer.of(config)
    if args.sensor is None:
        if args.device or args.channel or args.metadata:
            raise UsageError("SENSOR: is missing; --device, --channel, --metadata are about one")
        rows = explainer.store(Path(args.db) if args.db else config.store_path)
        if args.json:
            print(json.dumps({"channels": rows}))
        else:
            _show(rows)
        return DONE
    device, channel = polled_names(args.sensor)
    names = (args.device or device, args.channel or channel, args.sensor)
    found = explainer.sensor(names, args.metadata)
    if args.local and found["action"] == "hash":
        found["pseudonym"] = explainer.problem or explainer.policy.pseudonym(args.sensor)
    print(json.dumps(found) if args.json else "\n".join(_lines(found)))
    return DONE


def _lines(found: dict[str, Any]) -> list[str]:
    whose = f"device {found['device']}, channel {found['channel']}"
    lines = [f"{found['sensor']} ({whose}): {found['action']}, by {found['rule']}"]
    lines += [f"  does not fit: {name}" for name in found["do_not_fit"]]
    lines += [f"on a board: {found['board']}", f"stored here: {found['stored']}"]
    lines += [f"sent to {sink}: {what}" for sink, what in found["sent"].items()]
    if not found["sent"]:
        lines.append("sent to nobody: no sink is enabled")
    lines += [
        f"metadata {one['key']}: {one['action']}, by {one['rule']}" for one in found["metadata"]
    ]
    if "pseudonym" in found:
        lines.append(f"its pseudonym: {found['pseudonym']}")
    return lines


def _show(rows: list[dict[str, Any]]) -> None:
    width = max([len(row["sensor"]) for row in rows], default=0)
    for row in rows:
        print(f"{row['sensor']:<{width}}  {row['action']}, by {row['rule']}")
        print(f"{'':<{width}}    stored here: {row['stored']}")
        for sink, what in row["sent"].items():
            print(f"{'':<{width}}    sent to {sink}: {what}")
