"""`pyv-edge-host doctor`: what is wrong with this machine, and what to do about it."""

import argparse
import json
import os
from typing import TYPE_CHECKING, Any

from ..exit_status import DONE, NO
from .output import paint
from .place import add_config, find_config, no_config

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .checks.finding import Finding
    from .checks.plan import Case

DOCUMENT = "OPERATIONS.md"
ASK_S = 10.0  # longest wait for the agent

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red", "skip": "grey"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_config(parser)
    parser.add_argument(
        "--offline", action="store_true", help="ask no name server and no other computer"
    )
    parser.add_argument(
        "--verbose", action="store_true", help="show also what there was nothing to check of"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Look at everything; return 1 if something does not work."""
    found = []
    for findings in examine(learn(args)):
        for one in findings:
            found.append(one)
            if not args.json and (one.level != "skip" or args.verbose):
                print(shown(one, colour=True), flush=True)
    told = report(found)
    print(json.dumps(told) if args.json else _summary(told))
    return NO if told["fail"] else DONE


def examine(case: "Case") -> "Iterator[list[Finding]]":
    """Yield what the checks find on this machine, in the order in which it is shown."""
    import logging

    from .checks.bounded import carry_out
    from .checks.plan import Machine, Plan

    # What is found is shown, and nothing else: parts of the agent would log it, too.
    logging.getLogger("pyv_edge_agent").addHandler(logging.NullHandler())
    machine = Machine()
    yield from carry_out(Plan(machine, case).jobs(), machine.clock)


def learn(args: argparse.Namespace) -> "Case":
    """Return what the configuration says, and the agent that has it."""
    from pathlib import Path

    from ..config import Config
    from ..errors import ConfigError
    from .checks.plan import Case
    from .checks.service import read_service, service_environment

    path = find_config(args)
    if path is None:
        return Case("", None, (no_config(),), **_ask(path, args))
    root = Path("/")
    environment = {**service_environment(read_service(root), path, root), **os.environ}
    config = None
    faults: list[str] = []
    try:
        config = Config.from_file(path, environment)
        config.validate()
    except ConfigError as error:
        faults = error.problems
    except FileNotFoundError as error:
        faults = [str(error)]
    doubts = tuple(config.warnings) if config is not None else ()
    return Case(path, config, tuple(faults), doubts, **_ask(path, args))


def _ask(path: str | None, args: argparse.Namespace) -> dict[str, Any]:
    """Return what the agent of a configuration says, or why it says nothing."""
    import socket
    from struct import calcsize, unpack

    from ..errors import AgentAbsentError, RequestError
    from .asking import connect, converse

    known: dict[str, Any] = {"is_offline": args.offline}
    if path is None:
        return {**known, "agent_problem": "nobody knows which: there is no configuration"}
    try:
        connection = connect(path)
        if connection is None:
            absent = f"no agent runs with {path}; start it: pyv-edge-host run --config {path}"
            return {**known, "agent_problem": absent}
        form = "3i"  # struct ucred: of whoever listens
        peer = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, calcsize(form))
        known["agent_pid"] = unpack(form, peer)[0]
        return {**known, "status": converse(connection, {"do": "status"}, ASK_S)}
    except (OSError, AgentAbsentError, RequestError) as error:
        return {**known, "agent_problem": str(error), "is_hidden": True}


def shown(found: "Finding", *, colour: bool = False) -> str:
    """Return a finding as a line."""
    level = f"{found.level:<4}"
    line = (
        f"{paint(level, _COLOURS[found.level]) if colour else level}  {found.what}: {found.text}"
    )
    if found.fix:
        line += f'; {found.fix} (see {DOCUMENT}, "{found.see}")'
    return line


def report(found: "Iterable[Finding]") -> dict[str, Any]:
    """Return findings as JSON types: how many of each level, and all of them."""
    findings = [one.to_dict() for one in found]
    levels = [one["level"] for one in findings]
    return {**{level: levels.count(level) for level in _COLOURS}, "findings": findings}


def _summary(told: dict[str, Any]) -> str:
    return ", ".join(f"{told[level]} {level}" for level in ("ok", "warn", "fail"))
