"""What can be done to one board on one port."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .. import board_settings, build_device
from . import hello, inventory, on_board, plan
from .deploy import Outcome, Wanted
from .deploy import deploy as deploy_over
from .problem import FlashError
from .repl import Repl
from .telling import Telling

LOGS = ("crash", "crash.told", "boots", "slot")
# What the node writes, in every slot; settings and sets stay.
DATA = ("boots", "crash", "crash.told")
DATA_FOLDERS = ("spill",)
SETTINGS_LEFTOVERS = (".new", ".trial", ".old", ".reason", ".copy")


def wanted(
    settings: Path | None, own: Path | None, *, is_source: bool, replaces_loader: bool
) -> Wanted:
    """Return what a deploy is to put there. Raises FlashError, CompileError, FileNotFoundError."""
    try:
        told = None if settings is None else board_settings.read(settings)
    except board_settings.BoardSettingsError as error:
        raise FlashError(str(error)) from error
    return Wanted(
        build_device.firmware(own, is_source=is_source),
        build_device.loader_files(),
        None if told is None else told.content,
        own=(build_device.OWN_SENSORS,),
        own_modules=() if told is None else _modules(told.own_types),
        replaces_loader=replaces_loader,
    )


def _modules(own_types: tuple[str, ...]) -> tuple[str, ...]:
    """Return where a set has a user's sensors, without the ending."""
    return tuple(f"{build_device.OWN_SENSORS}/{kind}" for kind in own_types)


def confirm(what: str, telling: Telling) -> None:
    """Ask the person at the terminal. Raises FlashError unless the answer is yes."""
    telling.ask(f"{what}? [y/N] ")
    answer = sys.stdin.readline() if sys.stdin is not None else ""
    if answer.strip().lower() not in ("y", "yes"):
        raise FlashError("nothing was done (--yes does it without asking)")


def deploy(port: str, what: Wanted, telling: Telling, *, keeps: bool, is_dry: bool) -> Outcome:
    """Deploy to the board on `port`. Raises FlashError."""
    with Repl(port) as repl:
        outcome = deploy_over(repl, what, telling, is_dry=is_dry)
        if keeps and outcome.is_on_trial and not is_dry:
            with repl.prompt():
                repl.run(on_board.KEEP)
            _run_on(repl, telling)
            outcome.is_on_trial = False
    telling.result(_facts(outcome), _lines(outcome))
    return outcome


def _facts(outcome: Outcome) -> dict[str, Any]:
    return {
        "changed": outcome.is_changed,
        "slot": outcome.slot,
        "on_trial": outcome.is_on_trial,
        "firmware_hash": f"{outcome.firmware_hash:08x}",
        "upload_bytes": outcome.upload_bytes,
        **hello.facts(outcome.hello),
    }


def _lines(outcome: Outcome) -> list[str]:
    if outcome.is_on_trial:
        text = f"app_{outcome.slot} is on trial: the board keeps it after a healthy minute with an"
        return [
            text + " agent that acknowledges readings, else it goes back (`keep` keeps it now)"
        ]
    return [f"app_{outcome.slot} is in force"] if outcome.slot else []


def _run_on(repl: Repl, telling: Telling) -> Any:
    """Let the board run its program; return its HELLO, None if it says none."""
    repl.restart()
    return hello.wait(repl, tell=telling.step).hello


def probe(port: str, telling: Telling) -> None:
    """Show what is on a board. Raises FlashError."""
    files = build_device.firmware(is_source=build_device.find_mpy_cross() is None)
    wanted_digests = {path: inventory.digest(content) for path, content in files.items()}
    with Repl(port) as repl:
        with repl.prompt():
            board = inventory.take(repl)
        said = _run_on(repl, telling)
    facts = {
        "micropython": ".".join(map(str, board.version)),
        "machine": board.machine,
        "id": board.id,
        "flash_bytes": board.flash_bytes,
        "free_bytes": board.free_bytes,
        "heap_free_bytes": board.heap_free_bytes,
        "slot": board.running,
        "on_trial": bool(board.behind),
        "whole_slots": [slot for slot in inventory.SETS if board.is_whole(slot)],
        "damaged": board.damaged,
        **hello.facts(said),
        "firmware": "" if said is None or hello.is_earlier(said) else said.firmware,
        "firmware_hash": "" if said is None else f"{said.firmware_hash:08x}",
        "drift": _ours_of(board) != wanted_digests,
    }
    telling.result(facts, _probe_lines(facts, board, said))


def _ours_of(board: inventory.Inventory) -> dict[str, str]:
    """Return the files of the running set that are the firmware's, whatever its owner added."""
    found = board.set_of(board.running) if board.running else {}
    return {path: hashed for path, hashed in found.items() if path.startswith("pyv_edge_")}


def _probe_lines(facts: dict[str, Any], board: inventory.Inventory, said: Any) -> list[str]:
    slot = f"app_{board.running}" if board.running else "none"
    trial = (
        f", on trial (boot {board.boots}), app_{board.behind} behind it" if board.behind else ""
    )
    lines = [
        f"MicroPython {facts['micropython']} on {board.machine}, id {board.id or 'none'}",
        f"flash: {board.free_bytes:,} of {board.flash_bytes:,} bytes free",
        f"slot: {slot}{trial}",
    ]
    lines += [f"damaged: {path}" for path in board.damaged]
    if hello.is_earlier(said):
        lines.append(f"node: {hello.earlier_line(said)}")
    elif said is not None:
        lines.append(
            f"node: {facts['device']}, firmware {facts['firmware']}, set {facts['firmware_hash']}"
        )
    else:
        lines.append("node: says no HELLO")
    drift = "it is not the firmware of this version" if facts["drift"] else "none"
    return [*lines, f"drift: {drift}"]


def rollback(port: str, telling: Telling) -> None:
    """Let the other set run. Raises FlashError."""
    _change(port, telling, on_board.ROLL_BACK)


def keep(port: str, telling: Telling) -> None:
    """Keep the set that is on trial. Raises FlashError."""
    _change(port, telling, on_board.KEEP)


def _change(port: str, telling: Telling, program: str) -> None:
    with Repl(port) as repl:
        with repl.prompt():
            try:
                told = repl.run(program).split()
            except FlashError as error:
                if "slots" in str(error):
                    raise FlashError(f"{port}: none of our firmware is on the board") from error
                raise
        said = _run_on(repl, telling)
    running, expected = told[0], int(told[1])
    if said is not None and said.firmware_hash != expected:
        raise FlashError(
            f"{port}: app_{running} is in force, and can't be started: the board runs"
            f" {said.firmware_hash:08x}; `probe` shows what is damaged"
        )
    facts = {"slot": running, **hello.facts(said)}
    telling.result(facts, [f"app_{running} is in force"])


def logs(port: str, telling: Telling) -> None:
    """Show what the board has kept of its crashes. Raises FlashError."""
    with Repl(port) as repl:
        with repl.prompt():
            text = repl.run(on_board.show(list(LOGS)))
        _run_on(repl, telling)
    telling.result({"text": text}, [text.strip() or "the board has kept nothing"])


def erase_data(port: str, telling: Telling) -> None:
    """Remove what the node has written. Raises FlashError."""
    names = list(DATA)
    for slot in inventory.SETS:
        path = f"{inventory.folder(slot)}/{plan.SETTINGS}"
        names += [path + ending for ending in SETTINGS_LEFTOVERS]
    with Repl(port) as repl:
        with repl.prompt():
            removed = repl.run(on_board.erase(names, list(DATA_FOLDERS))).split()
        _run_on(repl, telling)
    lines = [f"removed {name}" for name in removed] or ["there was nothing to remove"]
    telling.result({"removed": removed}, lines)


OPERATIONS: dict[str, Callable[[str, Telling], None]] = {
    "probe": probe,
    "rollback": rollback,
    "keep": keep,
    "logs": logs,
    "erase-data": erase_data,
}
