"""`pyv-edge-bridge`: looks at a board's line, records it, shares it, damages it, plays it again.

One file per command, each with `add_arguments(parser)` and `run(args)`, which
returns a status or raises BridgeError. Only the module of the command that is
called is imported. Statuses: 0 done, also when Ctrl-C ended what goes on until
then; 1 what was asked for failed; 2 wrong usage.
"""

import argparse
import os
import sys
from importlib import import_module
from types import ModuleType

PROGRAM = "pyv-edge-bridge"
DONE = 0
FAILED = 1
USAGE = 2
_COMPLAINT_S = 1.0

# command: what it does, one line
COMMANDS = {
    "monitor": "show what passes over a board's line, live",
    "record": "write what passes into a capture",
    "replay": "be the board of a capture, for an agent",
    "relay": "share a board's port: a port of its own, TCP, RFC 2217",
    "inject": "a relay that damages what passes, by seed",
    "send": "send a board one message or command, and show the answer",
    "decode": "take bytes apart: hex, files, captures",
    "stats": "count what is in a capture, or passes over a line",
    "export": "make a pcapng file of a capture, for Wireshark",
}


def main(argv: list[str] | None = None) -> int:
    """Run one command; return the exit status."""
    from . import stdio

    stdio.prepare()
    try:
        return _status(sys.argv[1:] if argv is None else argv)
    finally:
        stdio.let_go()


def _status(words: list[str]) -> int:
    """Call the command; return what became of it, and say in a line what is wrong."""
    from . import stdio
    from .errors import BridgeError, OutputStuckError, UsageError

    try:
        try:
            return _call(words)
        except OutputStuckError as error:
            line = f"{PROGRAM}: {error}"
            # Standard error may be the same terminal.
            stdio.is_done_in_time(lambda: stdio.complain(line), _COMPLAINT_S)
            os._exit(FAILED)  # to flush would be to wait for what nobody takes
        except KeyboardInterrupt:  # of a command that ends by itself, and has not
            stdio.drop_output()
            return FAILED
        finally:
            stdio.flush()  # here, where its failures are caught
    except KeyboardInterrupt:  # of a flush that waits
        stdio.drop_output()
        return FAILED
    except BrokenPipeError:
        return DONE  # whoever reads, `head` perhaps, has enough
    except (BridgeError, OSError) as error:
        name = f"{error.filename}: " if isinstance(error, OSError) and error.filename else ""
        text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        stdio.complain(f"{PROGRAM}: {name}{text}")
        return USAGE if isinstance(error, UsageError) else FAILED


def _call(words: list[str]) -> int:
    name = words[0] if words else ""
    if name not in COMMANDS:
        return _refuse(words)
    module = _module_of(name)
    parser = argparse.ArgumentParser(prog=f"{PROGRAM} {name}", description=COMMANDS[name])
    module.add_arguments(parser)
    return int(module.run(parser.parse_args(words[1:])))


def _refuse(words: list[str]) -> int:
    """Answer what calls no command: help, the version or a fault."""
    from pyv_edge_core import __version__

    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        usage=f"{PROGRAM} [-h] [--version] COMMAND ...",
        description="Look at the line between a board and its host.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    group = parser.add_argument_group("commands, each with a --help of its own")
    for name, text in COMMANDS.items():
        group.add_argument(name, help=text, nargs="?")
    if words and not words[0].startswith("-"):
        parser.error(f"{words[0]!r} is no command; there are {', '.join(COMMANDS)}")
    parser.parse_args(words)
    parser.error("COMMAND is missing; --help lists them")


def _module_of(command: str) -> ModuleType:
    return import_module(f".{command}", __name__)
