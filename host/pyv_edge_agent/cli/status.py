"""`pyv-edge-host status`: how the running agent is, in some lines."""

import argparse
import json

from ..exit_status import DONE, NO
from .asking import add_arguments, ask
from .output import paint

TYPE_CHECKING = False  # as in typing, which takes long to import
if TYPE_CHECKING:
    from typing import Any

__all__ = ["add_arguments", "run"]

_COLOURS = {"healthy": "green", "degraded": "yellow", "unhealthy": "red"}


def run(args: argparse.Namespace) -> int:
    """Show it; return 0 if the agent says that it is healthy or degraded, 1 if it doesn't."""
    told = ask(args, "status")
    if args.json:
        print(json.dumps(told))
    else:
        _show(told)
    return NO if told["status"] == "unhealthy" else DONE


def _show(told: "dict[str, Any]") -> None:
    agent, store, ingest = told["agent"], told["store"], told["ingest"]
    print(f"agent    {paint(told['status'], _COLOURS[told['status']])}")
    for name, part in told["components"].items():
        if part["reason"] and not name.startswith(("device/", "sink/")):
            _problem(f"{name}: {part['reason']}")
    print(
        f"readings {agent['readings_processed']} taken since the start,"
        f" {agent['events_triggered']} found an alert firing"
    )
    print(f"store    {store['state']}")
    print(f"devices  {ingest['devices_configured']}, {ingest['adapters_connected']} connected")
    for device in told["devices"]:
        print(f"  {device['name']:<24} {device['ingest_type']:<10} {device['state']}")
        _problem(_reason(told, f"device/{device['name']}") or _of_device(device))
    if told["sinks"]:
        print("sinks")
    for name, sink in told["sinks"].items():
        pending = f"{sink['pending_readings']} readings and {sink['pending_items']} items wait"
        print(f"  {name:<24} {sink['readings_delivered_total']} delivered, {pending}")
        _problem(_reason(told, f"sink/{name}"))


def _reason(told: "dict[str, Any]", name: str) -> str:
    """Return what is wrong with a part; one that has come just now has not been judged."""
    part = told["components"].get(name)
    return str(part["reason"]) if part else ""


def _of_device(device: "dict[str, Any]") -> str:
    """Return when something was last wrong with a device, that is well by now."""
    if device["problem_age_ms"] is None:
        return ""
    from ..sizing import show_time

    ago = show_time(device["problem_age_ms"] / 1000)
    return f"{device['rejected_total']} rejected, the last one {ago} ago: {device['problem']}"


def _problem(text: str) -> None:
    if text:
        print("  " + paint(text, "yellow"))
