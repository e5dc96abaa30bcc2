"""`pyv-edge-host device`: list devices, look at one, or ask a board for something."""

import argparse
import json

from ..errors import UsageError
from ..exit_status import DONE, NO
from .argument import between
from .asking import TIMEOUT_S, ask
from .asking import add_arguments as add_asking
from .output import paint, plain

TYPE_CHECKING = False  # as in typing, which takes long to import
if TYPE_CHECKING:
    from typing import Any

TIMEOUT_MAX_S = 3600
VALUE_MAX = 2**32 - 1
OPS = ("identify", "set_rate", "read_now", "reset", "safe_mode")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare `ls`, `info` and `cmd`."""
    parts = parser.add_subparsers(dest="what", metavar="WHAT", required=True)
    add_asking(parts.add_parser("ls", help="all devices and how they do"))
    info = parts.add_parser("info", help="everything that is known of one")
    info.add_argument("device", help="its name in the configuration")
    add_asking(info)
    cmd = parts.add_parser("cmd", help="ask a board for something, at most once")
    cmd.add_argument("device", help="its name in the configuration")
    cmd.add_argument("op", choices=OPS, metavar="OP", help=", ".join(OPS))
    cmd.add_argument("target", nargs="?", help="channel, for set_rate and read_now")
    cmd.add_argument(
        "--value",
        type=between(0, VALUE_MAX, int),
        default=0,
        help="of set_rate: ms; safe_mode: 1 begins it, 0 ends it",
    )
    cmd.add_argument(
        "--timeout",
        type=between(0.001, TIMEOUT_MAX_S, float),
        default=10.0,
        metavar="SECONDS",
        help="(%(default)s)",
    )
    add_asking(cmd)


def run(args: argparse.Namespace) -> int:
    """Do it; return 1 if the board has not done what it was asked."""
    if args.what == "cmd":
        return _command(args)
    told = ask(args, "status")
    devices = {device["name"]: device for device in told["devices"]}
    if args.what == "ls":
        _list(list(devices.values()), args.json)
        return DONE
    if args.device not in devices:
        raise UsageError(f"there is no device {args.device!r}; there are: {', '.join(devices)}")
    links = {link["name"]: link for link in told["links"]}
    _info({**devices[args.device], **links.get(args.device, {})}, args.json)
    return DONE


def _list(devices: "list[dict[str, Any]]", is_json: bool) -> None:
    if is_json:
        print(json.dumps({"devices": devices}))
        return
    for device in devices:
        print(
            f"{device['name']:<24} {device['ingest_type']:<10} {device['state']:<12}"
            f" {paint(device['problem'], 'yellow')}".rstrip()
        )


def _info(told: "dict[str, Any]", is_json: bool, indent: str = "") -> None:
    if is_json:
        print(json.dumps(told))
        return
    for key, value in told.items():
        if isinstance(value, dict):
            print(f"{indent}{key}")
            _info(value, is_json, indent + "  ")
        else:
            print(f"{indent}{key:<28} {plain(value)}")


def _command(args: argparse.Namespace) -> int:
    timeout_ms = round(args.timeout * 1000)
    told = ask(
        args,
        "command",
        args.timeout + TIMEOUT_S,
        device=args.device,
        op=args.op,
        target=args.target,
        value=args.value,
        timeout_ms=timeout_ms,
    )
    if args.json:
        print(json.dumps(told))
    else:
        words = f": {told['text']}" if told["text"] else ""
        print(f"{told['outcome']} ({told['value']}){words}")
    return DONE if told["is_done"] else NO
