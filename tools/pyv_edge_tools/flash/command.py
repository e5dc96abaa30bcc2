"""The command line of `pyv-edge-flash`.

Exit statuses: 0 done, 1 not done, 2 wrong use, 130 stopped.
"""

import argparse
import contextlib
import io
import signal
from collections.abc import Iterator
from pathlib import Path

from .. import build_device
from . import loan, ports
from .problem import FlashError, OutputError
from .telling import Telling

NOT_DONE = 1
WRONG_USE = 2
INTERRUPTED = 130
_ENDINGS = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


def _add_port(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--port", metavar="PATH", help="the board's serial port")
    parser.add_argument(
        "--id", metavar="TEXT", help="the board with this in its USB serial number or path"
    )
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="of the agent that may hold the port: it lends it meanwhile",
    )
    parser.add_argument("--json", action="store_true", help="print a JSON object per line")


def parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    top = argparse.ArgumentParser(
        prog="pyv-edge-flash",
        description="Put firmware onto MicroPython boards, and look after what is there.",
    )
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def add(name: str, text: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")

    found = add("list", "show the boards that are there")
    found.add_argument("--json", action="store_true", help="print a JSON object per line")
    _add_port(add("probe", "stop a board, show what is on it, and let it run on"))
    deploy = add("deploy", "put the firmware of this version onto a board")
    _add_port(deploy)
    deploy.add_argument("--settings", type=Path, metavar="FILE", help="the board's device.json")
    deploy.add_argument(
        "--own-sensors", type=Path, metavar="FOLDER", help="sensors of your own, see SENSORS.md"
    )
    deploy.add_argument("--source", action="store_true", help="send sources, not bytecode")
    deploy.add_argument(
        "--loader", action="store_true", help="replace main.py, slots.py and boot.py, too"
    )
    deploy.add_argument(
        "--keep", action="store_true", help="keep it once it has said HELLO, without a trial"
    )
    deploy.add_argument(
        "--no-wait", action="store_true", help="don't wait until an agent has confirmed it"
    )
    deploy.add_argument("--dry-run", action="store_true", help="say what would be sent")
    _add_port(add("keep", "keep the set that is on trial"))
    _add_port(add("rollback", "let the other set run"))
    _add_port(add("logs", "show the latest tracebacks and how the board has booted"))
    erase = add("erase-data", "remove what the node has written: readings, counts, tracebacks")
    _add_port(erase)
    erase.add_argument("--yes", action="store_true", help="don't ask")
    firmware = add("firmware", "show how MicroPython itself gets onto a new board")
    firmware.add_argument("board", nargs="?", help="rp2, rp2350, esp32, esp32s3 or esp32c3")
    firmware.add_argument("--image", type=Path, metavar="FILE", help="a .bin: run esptool with it")
    firmware.add_argument("--port", metavar="PATH", help="the board's serial port")
    from ..virtual import command as virtual

    virtual.add_arguments(add("virtual", "play a board, for programs with a serial port"))
    return top


def run(arguments: list[str] | None = None) -> int:
    """Do what the command line asks for; return the exit status."""
    args = parser().parse_args(arguments)
    if args.command == "virtual":
        from ..virtual import command as virtual

        return virtual.run(args)
    telling = Telling(is_json=getattr(args, "json", False))
    try:
        return _run(args, telling)
    except OutputError as error:
        telling.give_up(error)
        return NOT_DONE


def _run(args: argparse.Namespace, telling: Telling) -> int:
    """Do it, and tell what goes wrong; return the exit status. Raises OutputError."""
    try:
        with _interruptible():
            if args.command == "list":
                return _list(telling)
            if args.command == "firmware":
                return _firmware(args, telling)
            return _on_board(args, telling)
    except FlashError as error:
        telling.problem(str(error))
        return NOT_DONE
    except (build_device.CompileError, FileNotFoundError) as error:
        telling.problem(str(error))
        return WRONG_USE
    except KeyboardInterrupt as error:
        telling.problem(f"stopped by {str(error) or 'Ctrl-C'}")
        return INTERRUPTED


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Have what else ends a program end it as Ctrl-C does.

    The board is to run on, and the agent to have its port back. Not what was ignored from
    the start: nohup.
    """
    before = {signum: signal.getsignal(signum) for signum in _ENDINGS}
    handled = [signum for signum in _ENDINGS if before[signum] != signal.SIG_IGN]

    def interrupt(signum: int, frame: object) -> None:
        # Once is enough: a terminal that is closed says so several times.
        for other in handled:
            signal.signal(other, signal.SIG_IGN)
        raise KeyboardInterrupt(signal.Signals(signum).name)

    for signum in handled:
        signal.signal(signum, interrupt)
    try:
        yield
    finally:
        for signum in handled:
            signal.signal(signum, before[signum])


def _firmware(args: argparse.Namespace, telling: Telling) -> int:
    from . import firmware

    if args.image is not None:
        return firmware.run(args.board, args.image, args.port)
    steps = io.StringIO()
    with contextlib.redirect_stdout(steps):
        status = firmware.run(args.board, None, args.port)
    telling.result({}, steps.getvalue().splitlines())
    return status


def _list(telling: Telling) -> int:
    found = ports.boards()
    for port in found:
        telling.result(port.facts(), [port.line()])
    if not found:
        telling.result({"boards": 0}, ["no board is there: is the cable one that carries data?"])
    return 0


def _on_board(args: argparse.Namespace, telling: Telling) -> int:
    from . import operations

    wanted = None
    if args.command == "deploy":  # first, so that a mistake leaves the board alone
        wanted = operations.wanted(
            args.settings, args.own_sensors, is_source=args.source, replaces_loader=args.loader
        )
    if args.command == "erase-data" and not args.yes:
        if args.json:
            raise FlashError("erase-data --json asks nothing: say --yes, too")
        operations.confirm("remove what the node has written on the board", telling)
    port = ports.choose(args.port, args.id)
    with loan.borrow(port, args.config, telling) as lent:
        if args.command == "deploy":
            assert wanted is not None
            outcome = operations.deploy(
                port, wanted, telling, keeps=args.keep, is_dry=args.dry_run
            )
        else:
            operations.OPERATIONS[args.command](port, telling)
            return 0
    is_known = outcome.hello is not None  # else its link is another line, where the agent isn't
    if lent is not None and outcome.is_on_trial and is_known and not args.no_wait:
        lent.wait_confirmed(outcome.firmware_hash, outcome.hello.config_hash, telling)
    return 0
