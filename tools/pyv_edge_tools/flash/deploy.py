"""Puts a set of files onto a board and lets it run: what is there, what is sent, the flip.

Until the flip the set that ran before is untouched, whatever is interrupted; from
then on the board itself goes back to it unless the new one proves itself.
"""

import zlib
from dataclasses import dataclass
from typing import Any

from pyv_edge_core import message

from . import hello, inventory, on_board, plan, upload
from .problem import FlashError
from .repl import Repl
from .telling import Telling


@dataclass
class Wanted:
    """What is to run on a board."""

    files: dict[str, bytes]  # path within a set: content
    loader: dict[str, bytes]  # what stands beside the sets
    settings: bytes | None  # None: those that are in force
    own: tuple[str, ...] = ()  # folders of a set whose files are taken along
    own_modules: tuple[str, ...] = ()  # below them, without ending: what the settings need
    replaces_loader: bool = False


@dataclass
class Outcome:
    """What came of a deploy."""

    is_changed: bool
    slot: str
    is_on_trial: bool
    firmware_hash: int
    upload_bytes: int = 0
    config_hash: int | None = None  # of the settings that came with it; None: they are older
    hello: Any = None  # what the board says behind the flip


def look(repl: Repl, wanted: Wanted, telling: Telling) -> tuple[inventory.Inventory, plan.Plan]:
    """Ask the board at its prompt what it has, and decide what to do: one round trip.

    Raises FlashError if the board can't run what is wanted.
    """
    board = inventory.take(repl)
    is_bytecode = any(path.endswith(".mpy") for path in wanted.files)
    board.check(repl.port, is_bytecode=is_bytecode)
    try:
        made = plan.make(
            board,
            wanted.files,
            wanted.loader,
            wanted.settings,
            own=wanted.own,
            own_modules=wanted.own_modules,
            replaces_loader=wanted.replaces_loader,
        )
    except FlashError as error:
        raise FlashError(f"{repl.port}: {error}") from error
    for note in made.notes:
        telling.step(note)
    needed = made.space_bytes(board.sizes) if made.slot or made.uploads else 0
    if needed > board.free_bytes:
        raise FlashError(
            f"{repl.port}: the file system has {board.free_bytes:,} bytes free, {needed:,} are"
            " needed: remove files of your own, or use erase-data"
        )
    return board, made


def carry_out(repl: Repl, board: inventory.Inventory, made: plan.Plan, telling: Telling) -> None:
    """Do what was planned, up to and with the flip. Raises FlashError."""
    if made.abandons:
        repl.run(on_board.ABANDON)
        telling.step(f"{inventory.folder(board.running)} was on trial; it is replaced")
    packed = plan.blocks(made, is_deflated=board.has_deflate)
    total = sum(len(block) for block in packed)
    target = inventory.folder(made.slot) if made.slot else ""
    program = on_board.receive(target, made.root_names, has_deflate=board.has_deflate)
    repl.begin(program)
    done = 0

    def progress(size: int) -> None:
        nonlocal done
        done += size
        telling.progress(done, total)

    with repl.watched():
        upload.send(repl.serial, repl.port, packed, progress)
    _verify(repl.port, made, inventory.parse(repl.end(), repl.port).files)
    repl.run(on_board.begin(made.slot, made.renames))


def _verify(port: str, made: plan.Plan, found: dict[str, str]) -> None:
    """Raise FlashError unless each file is what it is to be, read back from the flash."""
    for path, hashed in made.expected.items():
        if found.get(path) != hashed:
            what = "is not there" if path not in found else "is not what was sent"
            raise FlashError(
                f"{port}: {path} {what}: the flash may be worn out; the old set is in force"
            )


def deploy(
    repl: Repl,
    wanted: Wanted,
    telling: Telling,
    *,
    is_dry: bool = False,
    hello_s: float = hello.HELLO_S,
) -> Outcome:
    """Have the board run what is wanted, if it doesn't already; wait until it says so.

    Whatever comes of it, the board runs on, if the port is still there. Raises FlashError.
    """
    with repl.prompt():
        board, made = look(repl, wanted, telling)
        telling.step(_said(board, made), upload_bytes=made.upload_bytes, slot=made.slot)
        if is_dry:
            for path in sorted(made.uploads):
                telling.step(f"  would send {path}, {len(made.uploads[path]):,} bytes")
        elif made.slot or made.uploads:
            carry_out(repl, board, made, telling)
    is_changed = bool(made.slot or made.uploads) and not is_dry
    first = bool(made.slot) and not board.kept
    outcome = Outcome(
        is_changed=is_changed,
        slot=made.slot if is_changed and made.slot else board.running,
        is_on_trial=(bool(made.slot) and not first) if is_changed else bool(board.behind),
        firmware_hash=made.firmware_hash,
        upload_bytes=made.upload_bytes if is_changed else 0,
        config_hash=None if wanted.settings is None else zlib.crc32(wanted.settings),
    )
    restart(repl, outcome, telling, expects_it=not is_dry, hello_s=hello_s)
    return outcome


def _said(board: inventory.Inventory, made: plan.Plan) -> str:
    if not made.slot and not made.uploads:
        return f"{inventory.folder(board.running)} is what it is to be: nothing to send"
    copies = f", {len(made.copies)} copied on the board" if made.copies else ""
    place = f"{inventory.folder(made.slot)}: " if made.slot else ""
    return f"{place}{len(made.uploads)} files to send, {made.upload_bytes:,} bytes{copies}"


def restart(
    repl: Repl,
    outcome: Outcome,
    telling: Telling,
    *,
    expects_it: bool,
    hello_s: float = hello.HELLO_S,
) -> None:
    """Have the board boot, and wait for the HELLO of what is to run there.

    Raises FlashError, with what the board says instead, if none comes.
    """
    repl.restart()
    try:
        heard = hello.wait(repl, hello_s, telling.step)
    except FlashError as error:
        stands = f"; app_{outcome.slot} runs when it boots" if outcome.is_changed else ""
        raise FlashError(f"{error}{stands}") from error
    outcome.hello = heard.hello
    if heard.hello is None and hello.BY_UART in heard.console:
        telling.step("the link is a UART, where nobody listens now: its HELLO goes there")
        return
    if heard.hello is None and not expects_it:
        telling.step("the board says no HELLO: it runs no node yet, or none that can start")
        return
    if heard.hello is None:
        said = heard.last_line()
        raise FlashError(
            f"{repl.port}: no HELLO within {hello_s:g} s;"
            + (f" the board says: {said}" if said else " the board says nothing")
        )
    if expects_it and heard.hello.firmware_hash != outcome.firmware_hash:
        raise FlashError(
            f"{repl.port}: the board runs {heard.hello.firmware_hash:08x},"
            f" not {outcome.firmware_hash:08x}: it went back; see `pyv-edge-flash logs`"
        )
    if expects_it and outcome.config_hash not in (None, heard.hello.config_hash):
        raise FlashError(
            f"{repl.port}: the board runs with other settings ({heard.hello.config_hash:08x}):"
            " these can't be used; see `pyv-edge-flash logs`"
        )
    if heard.hello.flags & message.HELLO_SAFE:
        raise FlashError(
            f"{repl.port}: the board has crashed again and again, and is in safe mode;"
            " see `pyv-edge-flash logs`"
        )
    said = heard.hello
    line = (
        f"HELLO of {said.device} ({said.board}): firmware {said.firmware},"
        f" set {said.firmware_hash:08x}, boot number {said.boots}"
    )
    if hello.is_earlier(said):
        line = hello.earlier_line(said)
    telling.step(line, **hello.facts(said), firmware_hash=f"{said.firmware_hash:08x}")
