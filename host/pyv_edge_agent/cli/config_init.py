"""`pyv-edge-host config init`: a configuration to begin with.

At a terminal it asks for what no option says; elsewhere, and with --yes, it takes what a
person would get by pressing Enter all the way.
"""

import argparse
import json
import re
import sys
from collections.abc import Callable
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError, UsageError
from ..exit_status import DONE
from .destination import destination
from .output import note
from .place import PLACES

if TYPE_CHECKING:
    from ..config import Config
    from ..port_search import ListPorts

Given = dict[str, Any]  # what the file is to say, as it would be parsed from it

_PAIR_END = re.compile(r",(?=[A-Za-z_]+=)")
_API_KEY = "${EDGE_API_KEY:-}"
_SIMULATED = {"name": "simulated", "ingest_type": "simulator", "unit": "Cel"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--output", metavar="FILE", help=f"what is written (else {PLACES[0]}; - is stdout)"
    )
    parser.add_argument(
        "--device",
        action="append",
        default=[],
        metavar="NAME=KIND[:KEY=VALUE,...]",
        help="a device, such as porch=serial:port=usb:2e8a:5 (else the boards that are there)",
    )
    parser.add_argument("--endpoint", metavar="URL", help="of the cloud (else there is none)")
    parser.add_argument(
        "--api-key-file", metavar="FILE", help="that holds the cloud's key (else $EDGE_API_KEY)"
    )
    parser.add_argument("--store", metavar="FILE", help="storage.path, from the file's folder")
    parser.add_argument("--force", action="store_true", help="overwrite a file that is there")
    parser.add_argument("--yes", action="store_true", help="ask nothing")
    parser.set_defaults(config=None)


def run(args: argparse.Namespace, ports: "ListPorts | None" = None) -> int:
    """Write the file. Raises UsageError, ConfigError or OSError if it can't be."""
    is_asking = sys.stdin.isatty() and not args.yes
    output = args.output
    if not output:
        output = _ask("File to write", PLACES[0]) if is_asking else PLACES[0]
    is_stdout = output == "-"
    if is_stdout and args.json:
        raise UsageError("--json: says what file was written; name one by --output")
    path = Path(PLACES[0] if is_stdout else output)
    if path.suffix.lower() == ".json":
        raise UsageError(f"--output: {path} can't have comments; name it .toml")
    if is_stdout:
        write = _print
    else:
        write = partial(_write, is_json=args.json)
        remedy = "--output names another, --force replaces it"
        path = destination(args, output, remedy=remedy, is_config=True)
    given = _said(args)
    boards = {} if args.device else _boards(ports)
    if is_asking:
        given = _asked(given, boards, path)
    elif not args.device:
        given["sensors"]["devices"] = [
            _board(f"board-{index}", port) for index, port in enumerate(boards.values(), 1)
        ] or [_SIMULATED]
    write(path, given)
    return DONE


def _said(args: argparse.Namespace) -> Given:
    """Return what the options say."""
    devices, problems = [], []
    for text in args.device:
        try:
            devices.append(_device(text))
        except UsageError as error:
            problems.append(str(error))
    if problems:
        raise UsageError("\n".join(problems))
    given: Given = {"sensors": {"devices": devices}}
    if args.store:
        given["storage"] = {"path": args.store}
    if args.endpoint:
        given["cloud"] = _cloud(args.endpoint)
    if args.api_key_file:
        cloud = given.setdefault("cloud", {"enabled": False})
        cloud.pop("api_key", None)
        cloud["api_key_file"] = args.api_key_file
    return given


def _device(text: str) -> Given:
    """Return the device that an option says. Raises UsageError."""
    from ..settings import DEVICE, DEVICES
    from ..settings.setting import secret_files

    name, _, rest = text.partition("=")
    kind, _, more = rest.partition(":")
    if not name or kind not in DEVICES:
        known = ", ".join(sorted(DEVICES))
        raise UsageError(
            f"--device: {text!r} is not NAME=KIND[:KEY=VALUE,...] with a KIND of {known}"
        )
    keys = {**DEVICE, **DEVICES[kind]}
    files = secret_files(keys)
    device: Given = {"name": name, "ingest_type": kind}
    # A comma ends a value only before the next key: texts may have some.
    for pair in _PAIR_END.split(more) if more else ():
        key, equals, value = pair.partition("=")
        if not equals or (key not in keys and key not in files):
            known = ", ".join((*keys, *files))
            raise UsageError(f"--device: {key!r} of {name} is not KEY=VALUE with a KEY of {known}")
        try:
            device[key] = value if key in files else keys[key].check(value, True)
        except ValueError as error:
            raise UsageError(f"--device: {key} of {name}: {error}") from None
    return device


def _board(name: str, port: str) -> Given:
    return {"name": name, "ingest_type": "serial", "port": port}


def _cloud(endpoint: str, api_key: str = _API_KEY) -> Given:
    return {"enabled": True, "endpoint": endpoint, "api_key": api_key}


def _boards(ports: "ListPorts | None") -> dict[str, str]:
    """Return the ports that boards may be on, each with a name that lasts."""
    from ..port_search import lasting_names, list_ports

    try:
        return lasting_names(ports or list_ports)
    except (OSError, TypeError, ValueError) as error:  # see `port_search.find`
        note(f"ports can't be listed now: {error}")
        return {}


# -- asking ------------------------------------------------------------------------


def _asked(given: Given, boards: dict[str, str], path: Path) -> Given:
    """Return what a person adds to what is given."""
    if not given["sensors"]["devices"]:
        for place, port in boards.items():
            given = _settled(given, path, partial(_ask_board, place=place, port=port))
        if not boards:
            is_wanted = _ask_yes("No board is there. A simulated device, to try it out?")
            given["sensors"]["devices"] = [_SIMULATED] if is_wanted else []
    if "cloud" not in given:
        given = _settled(given, path, _ask_cloud)
    if "storage" not in given:
        given = _settled(given, path, _ask_store)
    return given


def _ask_board(given: Given, place: str, port: str) -> None:
    devices = given["sensors"]["devices"]
    name = _ask(f"Board at {place} ({port}). Its name, - for none", f"board-{len(devices) + 1}")
    if name != "-":
        devices.append(_board(name, port))


def _ask_cloud(given: Given) -> None:
    endpoint = _ask("URL of the cloud's endpoint", "", "none")
    if endpoint:
        from getpass import getpass

        key = getpass("Its API key, not shown [from $EDGE_API_KEY]: ", sys.stderr)
        given["cloud"] = _cloud(endpoint, key.replace("${", "$${") or _API_KEY)


def _ask_store(given: Given) -> None:
    from ..settings import SECTIONS

    default = SECTIONS["storage"]["path"].default
    store = _ask("Where the store is, from the file's folder", default)
    if store != default:
        given["storage"] = {"path": store}


def _settled(given: Given, path: Path, ask: Callable[[Given], None]) -> Given:
    """Ask for something until it can be used; return what is given with it."""
    while True:
        more = deepcopy(given)
        ask(more)
        try:
            _checked(path, more)
        except ConfigError as error:
            for fault in error.faults:
                note(f"{fault.path}: {fault.problem}")
            continue
        return more


def _ask_yes(question: str) -> bool:
    """Return whether the answer is yes, asking until it is that or no."""
    while True:
        answer = _ask(question, "y").lower()
        if answer in ("y", "yes", "n", "no"):
            return answer.startswith("y")
        note("y or n")


def _ask(question: str, default: str, shown: str = "") -> str:
    """Return the answer to a question, `default` if it is empty. Raises UsageError at its end."""
    print(f"{question} [{shown or default}]: ", end="", file=sys.stderr, flush=True)
    answer = sys.stdin.readline()
    if not answer:
        raise UsageError("there is no answer, so nothing is written; --yes asks nothing")
    return answer.strip() or default


# -- writing -----------------------------------------------------------------------


def _checked(path: Path, given: Given) -> tuple["Config", str]:
    """Return the configuration that would be written, and its text. Raises ConfigError."""
    from ..config import Config
    from ..config.draft import draft
    from ..config.source import Source

    text = draft(given)
    source = Source(str(path), text, path.parent)
    config = Config(source.parse(), source)
    config.validate()
    return config, text


def _print(path: Path, given: Given) -> None:
    config, text = _checked(path, given)
    print(text, end="")
    _tell(config)


def _write(path: Path, given: Given, *, is_json: bool) -> None:
    from ..disk import write_whole

    config, text = _checked(path, given)
    write_whole(path, text.encode(), 0o600 if config.has_secrets else 0o644)
    if is_json:
        devices = [one["name"] for one in config.get("sensors", "devices")]
        print(json.dumps({"file": str(path), "devices": devices}))
        return
    _tell(config)
    print(f"{path}: written")
    note(f"start the agent with: pyv-edge-host run --config {path}")


def _tell(config: "Config") -> None:
    """Note what is in it, and what is doubtful."""
    from ..settings import DEVICE_DOCS

    for device in config.get("sensors", "devices"):
        where = f" at {device['port']}" if device["ingest_type"] == "serial" else ""
        note(f"device {device['name']}{where}: {DEVICE_DOCS[device['ingest_type']]}")
    for doubt in config.doubts:
        note(doubt.labelled("warning"))
