"""`pyv-edge-flash virtual`: play a board until Ctrl-C, for any program with a serial port."""

import argparse
import json
import signal
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from .. import board_settings, build_device
from ..virtual_board import HEAP, find_micropython, interpreter_name
from .board import Board
from .image import SIZE_KB
from .manners import MANNERS, RP2_CDC

WRONG_USE = 2
VERSION_MIN = (1, 27)  # older ones have no raw prompt on a computer, which mpremote needs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `virtual`."""
    parser.add_argument(
        "place",
        type=Path,
        metavar="FOLDER_OR_IMAGE",
        help="where the board's flash is kept: a folder (then flash.img in it), or the image;"
        " made if it is not there",
    )
    parser.add_argument(
        "--manner",
        choices=sorted(MANNERS),
        default=RP2_CDC.name,
        help="the serial port to play (default: %(default)s)",
    )
    parser.add_argument(
        "--port-link",
        type=Path,
        metavar="PATH",
        help="the port's name (default: `tty` in the folder, or beside the image)",
    )
    parser.add_argument(
        "--size",
        type=int,
        default=SIZE_KB,
        metavar="KB",
        help="size of a flash that is made (default: %(default)s)",
    )
    parser.add_argument(
        "--baud", type=int, metavar="N", help="rate of the line (default: 115200 for esp32-uart)"
    )
    parser.add_argument(
        "--heap", default=HEAP, metavar="SIZE", help="memory for programs (default: %(default)s)"
    )
    parser.add_argument(
        "--firmware",
        choices=("none", "node"),
        default="none",
        help="what to put into the flash first: nothing, or this node's firmware",
    )
    parser.add_argument(
        "--settings",
        type=Path,
        metavar="FILE",
        help="device.json for --firmware node (default: the example's, without procfs)",
    )


def run(args: argparse.Namespace) -> int:
    """Play the board; return 0 after Ctrl-C, 1 if it failed, 2 for what can't be played."""
    try:
        board = _board(args)
        if args.firmware == "node":
            _put_firmware(board, args.settings)
        elif args.settings is not None:
            raise ValueError("--settings: goes with --firmware node")
    except (OSError, ValueError) as error:
        print(f"pyv-edge-flash: virtual: {error}", file=sys.stderr)
        return WRONG_USE
    return _play(board)


def _board(args: argparse.Namespace) -> Board:
    place: Path = args.place
    is_image = place.suffix == ".img" or place.is_file()
    if args.baud is not None and not 300 <= args.baud <= 10_000_000:
        raise ValueError(f"--baud: {args.baud} is no rate; give one from 300 to 10000000")
    _check_version()
    return Board(
        place.parent if is_image else place,
        manner=MANNERS[args.manner],
        image=place if is_image else None,
        size_kb=args.size,
        link=args.port_link or (place.with_suffix(".tty") if is_image else None),
        baud=args.baud,
        heap=args.heap,
    )


def _check_version() -> None:
    micropython = find_micropython()
    if micropython is None:
        return  # Board says so
    name, version = interpreter_name([micropython]).split()
    if tuple(map(int, version.split(".")[:2])) < VERSION_MIN:
        raise ValueError(
            f"{micropython}: {name} {version} has no raw prompt;"
            f" {'.'.join(map(str, VERSION_MIN))} or newer is needed"
        )


def _put_firmware(board: Board, path: Path | None) -> None:
    told = board_settings.read(path or build_device.device_files() / "device.example.json")
    if told.own_types:
        raise ValueError(
            f"{path}: {', '.join(told.own_types)}: no sensor of ours; start it with other"
            " settings, and deploy these with --own-sensors"
        )
    settings: Any = json.loads(told.content)
    if path is None:  # the example's; a virtual board has no /proc to measure
        settings["sensors"] = [one for one in settings["sensors"] if one["type"] != "procfs"]
    with tempfile.TemporaryDirectory() as folder:
        build_device.stage(Path(folder), settings, is_micropython=True)
        board.flash.put(Path(folder))


def _play(board: Board) -> int:
    ended = threading.Event()
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, lambda *_: ended.set())
    pressed = threading.Event()
    signal.signal(signal.SIGUSR1, lambda *_: pressed.set())
    try:
        with board:
            while board.is_alive and not board.is_up:
                if ended.wait(0.01):
                    return 0
            print(board.path, flush=True)
            print(
                f"{board.manner.name} board on {board.path}; Ctrl-C ends it,"
                " SIGUSR1 presses its reset button",
                file=sys.stderr,
            )
            while board.is_alive and not ended.wait(0.2):
                if pressed.is_set():
                    pressed.clear()
                    board.hard_reset()
    except OSError as error:
        print(f"pyv-edge-flash: virtual: {error}", file=sys.stderr)
        return 1
    print(
        f"{board.soft_resets_total} soft and {board.hard_resets_total} hard resets"
        f" ({board.watchdog_resets_total} by the watchdog),"
        f" {board.flash.writes_total} writes to the flash;"
        f" lost {board.output_dropped_total} bytes from and"
        f" {board.input_dropped_total} bytes to the board",
        file=sys.stderr,
    )
    return 0
