"""`pyv-edge-flash virtual`: play a board until Ctrl-C, for any program with a serial port."""

import argparse
import json
import signal
import tempfile
import threading
from binascii import crc32
from pathlib import Path

from .. import board_settings, build_device
from ..flash import inventory, plan
from ..flash.problem import OutputError
from ..flash.telling import Telling
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
    telling = Telling(is_json=False)
    try:
        board = _board(args)
        if args.firmware == "node":
            _put_firmware(board, args.settings)
        elif args.settings is not None:
            raise ValueError("--settings: goes with --firmware node")
    except (OSError, ValueError) as error:
        telling.problem(f"virtual: {error}")
        return WRONG_USE
    try:
        return _play(board, telling)
    except OutputError as error:
        telling.give_up(error)
        return 1


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
    settings = told.content
    if path is None:  # the example's; a virtual board has no /proc to measure
        values = json.loads(settings)
        values["sensors"] = [one for one in values["sensors"] if one["type"] != "procfs"]
        settings = json.dumps(values, indent=2).encode()
    files = build_device.firmware(is_source=build_device.find_mpy_cross() is None)
    deployed = _deployed(files, settings)
    with tempfile.TemporaryDirectory() as before, tempfile.TemporaryDirectory() as tree:
        board.flash.get(Path(before))
        for module in Path(before, inventory.folder(inventory.SETS[0])).rglob("*.*py"):
            name = str(module.relative_to(before))
            if name not in deployed:  # it may stand before one of ours
                raise ValueError(
                    f"{board.flash.path}: has {name} of another set: deploy to this board, or"
                    " name another folder"
                )
        for name, content in deployed.items():
            target = Path(tree, name)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        board.flash.put(Path(tree))


def _deployed(files: dict[str, bytes], settings: bytes) -> dict[str, bytes]:
    """Return what a flash has, by path, behind a first deploy of a set: in slot a."""
    slot = inventory.SETS[0]
    place = inventory.folder(slot)
    found = build_device.loader_files()
    found.update({f"{place}/{path}": content for path, content in files.items()})
    found[f"{place}/{plan.SETTINGS}"] = settings
    found[f"{place}/{inventory.MANIFEST}"] = plan.manifest(files)
    said = f"{slot} - 0"  # the pointer, see slots.py: there may be another set
    for name in ("slot", "slot.copy"):
        found[name] = f"{said} {crc32(said.encode()):08x}\n".encode()
    return found


def _play(board: Board, telling: Telling) -> int:
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
            telling.step(str(board.path))
            telling.note(
                f"{board.manner.name} board on {board.path}; Ctrl-C ends it,"
                " SIGUSR1 presses its reset button"
            )
            while board.is_alive and not ended.wait(0.2):
                if pressed.is_set():
                    pressed.clear()
                    board.hard_reset()
    except OSError as error:
        telling.problem(f"virtual: {error}")
        return 1
    telling.note(
        f"{board.soft_resets_total} soft and {board.hard_resets_total} hard resets"
        f" ({board.watchdog_resets_total} by the watchdog),"
        f" {board.flash.writes_total} writes to the flash;"
        f" lost {board.output_dropped_total} bytes from and"
        f" {board.input_dropped_total} bytes to the board"
    )
    return 0
