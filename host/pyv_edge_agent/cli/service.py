"""`pyv-edge-host service`: let systemd run the agent, or do so no more."""

import argparse
import json
from typing import TYPE_CHECKING

from ..exit_status import DONE, REFUSED
from .output import note
from .place import PLACES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..service_files import Needs, Step

CONFIG = PLACES[-1]  # unless one is named: what lies in some folder is not a service's
USER = "pyv-edge"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "what",
        choices=("install", "uninstall"),
        help="write unit, user and rules for boards, or bring them up to date; or remove them",
    )
    parser.add_argument(
        "--config", metavar="FILE", default=CONFIG, help="the agent's configuration (%(default)s)"
    )
    parser.add_argument("--user", default=USER, help="whom the agent runs as (%(default)s)")
    parser.add_argument("--root", metavar="DIR", help="write below DIR, as for a package")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--print", action="store_true", help="show what it would do, and do nothing")
    how.add_argument("--now", action="store_true", help="run the commands that belong to it")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Install or uninstall; return REFUSED if a command of the system fails."""
    from ..errors import UsageError

    if args.root is not None and args.now:
        raise UsageError("--now: is about this computer; below --root there is nothing to run")
    return _install(args) if args.what == "install" else _uninstall(args)


def _install(args: argparse.Namespace) -> int:
    from pathlib import Path

    from ..errors import UsageError
    from ..service_files import plan_install

    needs = _needs(args)
    if args.now and not needs.config.is_file():
        raise UsageError(f"{needs.config}: no such config file; write it before --now")
    steps = plan_install(needs, Path(args.root or "/"))
    if not args.print:
        _carry_out(steps)
    commands = [] if args.root else _commands_of_install(needs)
    _show(steps, commands, args)
    return _run(commands) if args.now else DONE


def _uninstall(args: argparse.Namespace) -> int:
    from pathlib import Path

    from ..errors import UsageError
    from ..service_files import REMOVED, UNIT, is_enabled, plan_uninstall

    root = Path(args.root or "/")
    steps = plan_uninstall(root)
    before = ["systemctl", "disable", "--now", UNIT]
    if is_enabled(root) and not (args.print or args.now):
        raise UsageError(f"the service is enabled; say --now, or first: {' '.join(before)}")
    is_installed = any(step.path.name == UNIT and step.state == REMOVED for step in steps)
    stop = [before] if is_installed and not args.root else []
    reload = [["systemctl", "daemon-reload"], ["udevadm", "control", "--reload"]]
    commands = [] if args.root else reload
    if args.now and _run(stop) != DONE:
        return REFUSED
    if not args.print:
        _carry_out(steps)
    _show(steps, [*stop, *commands] if args.print else commands, args)
    return _run(commands) if args.now else DONE


def _needs(args: argparse.Namespace) -> "Needs":
    """Return what the service is made for; what the configuration can't tell is noted."""
    import os
    from pathlib import Path

    from ..config import Config
    from ..errors import ConfigError
    from ..service_files import (
        STATE_FOLDER,
        Needs,
        installed_program,
        read_folders,
        written_folders,
    )

    program, program_folders = installed_program()
    config = Path(os.path.abspath(args.config))
    folders: tuple[tuple[Path, ...], ...] = ()
    try:
        found = Config.from_file(config)
        folders = (written_folders(found), read_folders(found))
    except (ConfigError, FileNotFoundError) as error:
        for line in error.problems if isinstance(error, ConfigError) else [str(error)]:
            note(line)
        note(
            f"where it stores is not known: the service may write below {STATE_FOLDER} only."
            " Install it again once the configuration is right, if that is elsewhere"
        )
    return Needs(program, config, args.user, program_folders, *folders)


def _commands_of_install(needs: "Needs") -> list[list[str]]:
    """Return what makes the system take notice of the files, in its order."""
    from ..service_files import PLACES as FILES
    from ..service_files import UNIT

    folders = [str(folder) for folder in needs.write_folders if not folder.exists()]
    return [
        ["systemd-sysusers", str(FILES["pyv-edge.sysusers"])],
        ["udevadm", "control", "--reload"],
        ["udevadm", "trigger", "--subsystem-match=usb", "--subsystem-match=tty"],
        *(["install", "-d", "-o", needs.user, "-m", "0700", folder] for folder in folders),
        ["systemctl", "daemon-reload"],
        ["systemctl", "enable", UNIT],
        ["systemctl", "restart", UNIT],
    ]


def _carry_out(steps: "Iterable[Step]") -> None:
    try:
        for step in steps:
            step.carry_out()
    except PermissionError:
        note("only root may do that (sudo); --print shows what it would do")
        raise


def _show(steps: "list[Step]", commands: list[list[str]], args: argparse.Namespace) -> None:
    if args.json:
        files = [
            {"path": str(step.path), "state": step.state, "text": step.text} for step in steps
        ]
        print(json.dumps({"files": files, "commands": commands, "is_done": not args.print}))
        return
    for step in steps:
        print(f"{step.path}: {step.state}")
        if args.print and step.text is not None:
            print("\n".join(f"    {line}".rstrip() for line in step.text.splitlines()))
    if commands and not args.now:
        print("to be run then:" if args.print else "now run:")
        print("\n".join(f"  {' '.join(command)}" for command in commands))


def _run(commands: list[list[str]]) -> int:
    """Run commands of the system; return DONE, or REFUSED if one of them fails."""
    from pyv_edge_tools.commands import run_in_turn

    problem = run_in_turn(commands)
    if problem:
        note(problem)
        return REFUSED
    return DONE
