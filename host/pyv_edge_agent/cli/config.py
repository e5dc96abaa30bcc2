"""`pyv-edge-host config`: check configurations, show what is in force, describe, begin one."""

import argparse
import json
from typing import TYPE_CHECKING, Any

from ..exit_status import DONE, USAGE
from . import config_init
from .output import note
from .place import add_config, config_path, load_config

if TYPE_CHECKING:
    from collections.abc import Sequence

_COLUMN = 59  # at which the origin of a value stands


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    commands = parser.add_subparsers(dest="what", metavar="WHAT", required=True)
    text = "find every fault of configurations, and files named in them that can't be read"
    check = commands.add_parser("check", help=text, description=text)
    check.add_argument("files", nargs="*", metavar="FILE", help="TOML or JSON")
    text = "show what a configuration sets, without its secrets"
    show = commands.add_parser("show", help=text, description=text)
    show.add_argument(
        "--effective", action="store_true", help="all that is in force, and where it comes from"
    )
    text = "print the JSON Schema of configurations, for editors"
    schema = commands.add_parser("schema", help=text, description=text)
    text = "write a commented configuration; at a terminal, ask for what isn't said"
    init = commands.add_parser("init", help=text, description=text)
    config_init.add_arguments(init)
    for one in (check, show):
        add_config(one)
    for one in (check, show, init):
        one.add_argument("--json", action="store_true", help="print one JSON object")
    schema.add_argument("--json", action="store_true", help="no difference: a schema is JSON")


def run(args: argparse.Namespace) -> int:
    """Do one of them; return 0, or 2 if a configuration can't be used."""
    commands = {"check": _check, "show": _show, "schema": _schema, "init": config_init.run}
    return commands[args.what](args)


def _check(args: argparse.Namespace) -> int:
    from ..config import Config
    from ..errors import ConfigError, Fault

    reports: list[dict[str, Any]] = []
    for file in args.files or [config_path(args)]:
        faults: Sequence[Fault] = ()
        doubts: Sequence[Fault] = ()
        try:
            config = Config.from_file(file)
            doubts = config.doubts
            config.validate()
        except ConfigError as error:
            faults = error.faults
        except FileNotFoundError as error:
            faults = [Fault(file, None, "", str(error).removeprefix(f"{file}: "))]
        reports.append({"file": file, "ok": not faults, "faults": faults, "warnings": doubts})
        if not args.json:
            for fault in faults:
                note(str(fault))
            for doubt in doubts:
                note(doubt.labelled("warning"))
            if not faults:
                print(f"{file}: ok")
    if args.json:
        print(json.dumps({"files": reports}, default=vars))
    return DONE if all(report["ok"] for report in reports) else USAGE


def _show(args: argparse.Namespace) -> int:
    from ..config.shown import NOT_SET, SET, entries

    config = load_config(args)
    found = entries(config, with_defaults=args.effective)
    if args.json:
        rows = [
            {"path": entry.path, "value": entry.value, **entry.origin._asdict()} for entry in found
        ]
        print(json.dumps({"file": config_path(args), "settings": rows}))
        return DONE
    for entry in found:
        is_mark = entry.is_secret or entry.value in (SET, NOT_SET)
        value = entry.value if is_mark else json.dumps(entry.value, ensure_ascii=False)
        line = f"{entry.path} = {value}"
        print(f"{line:<{_COLUMN}} # {entry.origin}" if args.effective else line)
    return DONE


def _schema(args: argparse.Namespace) -> int:
    from ..config.schema import make_schema

    print(json.dumps(make_schema(), indent=2))
    return DONE
