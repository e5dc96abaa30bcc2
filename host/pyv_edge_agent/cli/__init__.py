"""`pyv-edge-host`: everything an operator does. One file per command.

Each has `add_arguments(parser)` and `run(args)`, which returns a status of
`exit_status` or raises one of its errors; nothing else turns errors into lines.
Only the module of the command that is called is imported, and it imports what it
needs when it runs: the bench's `cli.start_ratio` guards that.
"""

import argparse
import os
import sys
from collections.abc import Collection
from importlib import import_module
from types import ModuleType

from pyv_edge_core import __version__

PROGRAM = "pyv-edge-host"
_REMEDY = "set PYTHONUTF8=1, or LANG=C.UTF-8"
_WIDTH = 80  # of help, where there is no terminal

# command: what it does, one line
COMMANDS = {
    "run": "run the agent in the foreground",
    "config": "check configurations, show what is in force, describe them, begin one",
    "demo": "boards, agent and cloud on this computer, and a ledger of every reading",
    "status": "how the running agent is",
    "device": "list devices, look at one, ask a board for something, or lend its port",
    "queue": "what waits for the sinks, and what they have refused for good",
    "reload": "let the running agent read its configuration again",
    "tail": "follow what an agent stores, live",
    "query": "show the newest of what is stored",
    "export": "take out what is stored, for other programs",
    "plot": "draw a sensor over time in the terminal",
    "ledger": "account for every reading in a store",
    "audit": "check that nothing in a store was changed, or list what was done with it",
    "backup": "copy the store while the agent writes, and check the copy",
    "size": "how much disk, card and buffer readings take, and for how long it lasts",
    "rules": "try rules on what is stored",
    "privacy": "say which rule decides about a sensor, and what becomes of it where",
    "receive": "a small cloud endpoint to test against",
    "service": "let systemd run the agent, or do so no more",
    "doctor": "look at everything that can be wrong here, and say what to do",
    "support-bundle": "put what helps to find a fault into one file, without secrets",
    "completion": "print what makes a shell complete commands and options",
}


class _Help(argparse.HelpFormatter):
    """Help as wide as the terminal; argparse itself imports archivers to find that out."""

    def __init__(self, prog: str) -> None:
        try:
            width = os.get_terminal_size().columns - 2
        except OSError:
            width = _WIDTH
        super().__init__(prog, width=width)


def make_parser(commands: Collection[str]) -> argparse.ArgumentParser:
    """Return the parser of all commands, of which only `commands` have their options."""
    parser = _outline()
    parsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, text in COMMANDS.items():
        one = parsers.add_parser(name, help=text, description=text, formatter_class=_Help)
        if name in commands:
            _module_of(name).add_arguments(one)
    return parser


def _outline() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROGRAM, description="Operate a Pyvorin Edge host.", formatter_class=_Help
    )
    parser.add_argument("--version", action="version", version=__version__)
    return parser


def _refuse(words: list[str]) -> None:
    """Answer what calls no command: help, the version or a fault; then the process ends.

    Without a parser for each command, whose making takes longer than all the rest.
    """
    parser = _outline()
    parser.usage = f"{PROGRAM} [-h] [--version] COMMAND ..."
    group = parser.add_argument_group("commands")
    for name, text in COMMANDS.items():
        group.add_argument(name, help=text, nargs="?")
    if words and not words[0].startswith("-"):
        parser.error(f"{words[0]!r} is no command; there are {', '.join(COMMANDS)}")
    parser.parse_args(words)
    parser.error("COMMAND is missing; --help lists them")


def main(argv: list[str] | None = None) -> int:
    """Run one command; return the exit status."""
    _open_streams()
    try:
        try:
            status = _call(sys.argv[1:] if argv is None else argv)
        finally:
            sys.stdout.flush()  # here, where a broken pipe is caught
    except BrokenPipeError:
        _drop_output()
        status = 0  # whoever reads, `head` perhaps, has enough
    except UnicodeEncodeError as error:
        print(
            f"{error.object[error.start]!a} can't be written as {error.encoding}; {_REMEDY}",
            file=sys.stderr,
        )
        status = 3
    except SystemExit:
        raise  # of argparse, before what tells errors is imported
    except KeyboardInterrupt:
        from ..exit_status import INTERRUPTED

        status = INTERRUPTED
    except _told() as error:
        from ..exit_status import status_of

        status, lines = status_of(error)
        print("\n".join(lines), file=sys.stderr)
        _drop_output()
    return status


def _open_streams() -> None:
    """Let nothing that is opened later be taken for a stream that whoever calls has closed."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 for the whole process


def _drop_output() -> None:
    """Let nobody have what can't be written: Python flushes once more when it ends."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _call(words: list[str]) -> int:
    name = words[0] if words else ""
    if name not in COMMANDS:
        _refuse(words)
    module = _module_of(name)
    parser = argparse.ArgumentParser(
        prog=f"{PROGRAM} {name}", description=COMMANDS[name], formatter_class=_Help
    )
    module.add_arguments(parser)
    return int(module.run(parser.parse_args(words[1:])))


def _module_of(command: str) -> ModuleType:
    return import_module(f".{command.replace('-', '_')}", __name__)


def _told() -> tuple[type[Exception], ...]:
    from ..exit_status import TOLD

    return TOLD
