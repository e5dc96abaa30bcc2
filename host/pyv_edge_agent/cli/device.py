"""`pyv-edge-host device`: list devices, look at one, ask a board for something, get its port."""

import argparse
import json

from ..errors import UsageError
from ..exit_status import DONE, NO
from .argument import between
from .asking import TIMEOUT_S, ask
from .asking import add_arguments as add_asking
from .output import note, paint, plain

TYPE_CHECKING = False  # as in typing, which takes long to import
if TYPE_CHECKING:
    from typing import Any

TIMEOUT_MAX_S = 3600
VALUE_MAX = 2**32 - 1
MINUTES, MINUTES_MAX = 10, 120  # of a loan: see board_command
OPS = ("identify", "set_rate", "read_now", "reset", "safe_mode")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare `ls`, `info`, `cmd`, `pause` and `resume`."""
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
    pause = parts.add_parser("pause", help="lend a board's port to another program for a while")
    pause.add_argument("device", help="its name in the configuration")
    pause.add_argument(
        "--minutes",
        type=between(1, MINUTES_MAX, int),
        default=MINUTES,
        help=f"at most, from now on, 1..{MINUTES_MAX} (%(default)s)",
    )
    add_asking(pause)
    resume = parts.add_parser("resume", help="take the port back before its time is over")
    resume.add_argument("device", help="its name in the configuration")
    add_asking(resume)


def run(args: argparse.Namespace) -> int:
    """Do it; return 1 if the board has not done what it was asked."""
    if args.what in _DONE_BY:
        return _DONE_BY[args.what](args)
    told = ask(args, "status")
    devices = {device["name"]: device for device in told["devices"]}
    if args.what == "ls":
        _list(list(devices.values()), args.json)
        return DONE
    if args.device not in devices:
        raise UsageError(f"there is no device {args.device!r}; there are: {', '.join(devices)}")
    links = {link["name"]: link for link in told["links"]}
    _info({**links.get(args.device, {}), **devices[args.device]}, args.json)
    return DONE


def _list(devices: "list[dict[str, Any]]", is_json: bool) -> None:
    if is_json:
        print(json.dumps({"devices": devices}))
        return
    for device in devices:
        until = f"until {_time_of(device['lent_until'])} " if device.get("lent_until") else ""
        print(
            f"{device['name']:<24} {device['ingest_type']:<10} {device['state']:<12}"
            f" {until}{paint(device['problem'], 'yellow')}".rstrip()
        )


def _time_of(utc_s: float) -> str:
    """Return the time of day, as the agent shows it."""
    from .moment import show_ms

    return f"{show_ms(round(utc_s * 1000))[11:16]} UTC"


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


def _pause(args: argparse.Namespace) -> int:
    told = ask(args, "device_pause", device=args.device, minutes=args.minutes)
    if args.json:
        print(json.dumps(told))
        return DONE
    lent = "is lent already, now" if told["is_prolonged"] else "is lent"
    print(f"{told['name']} {lent} until {_time_of(told['lent_until'])}")
    if told["path"] is None:
        print(f"its port, {told['port']}, is not there now")
    else:
        named = "" if told["path"] == told["port"] else f" ({told['port']})"
        print(f"its port is {told['path']}{named}")
    if told["device"] is not None:
        board = f"board {told['device']}, boot {told['boot']}, firmware {told['firmware']}"
        print(f"the last one there was {board}")
    if not told["is_settled"]:
        note("not all that came was acknowledged in time; the board sends the rest again")
    print(f"to give it back sooner: pyv-edge-host device resume {told['name']}")
    return DONE


def _resume(args: argparse.Namespace) -> int:
    told = ask(args, "device_resume", device=args.device)
    if args.json:
        print(json.dumps(told))
    elif told["was_lent"]:
        print(f"{told['name']} is taken back; device ls shows when its board is up")
    else:
        print(f"{told['name']} was not lent")
    return DONE


_DONE_BY = {"cmd": _command, "pause": _pause, "resume": _resume}
