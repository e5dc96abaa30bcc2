"""What is in the store: whether it can be read and adds up, and how it grows."""

from contextlib import closing
from pathlib import Path
from typing import Any

from ...clock import Clock
from ...disk import beside, unused
from ...errors import StoreBrokenError, StoreError
from ...sizing import Load, show_size, show_time
from ...store.check import check_closed
from ...store.connection import is_in_use, was_store
from ...store.extract import recorded
from ...store.ledger import read_ledger_within
from ...store.reader import StoreReader
from ...store.recovery import CHECK_MS, SET_ASIDE_MAX
from .finding import Check, Finding

LEDGER_MS = 10_000  # longest look at the ledger; some seconds for a million readings


def check_file(
    path: Path, clock: Clock, within_ms: int = CHECK_MS, *, is_agent_running: bool
) -> list[Finding]:
    """Tell whether the store is there and can be read, as far as some seconds tell."""
    about = Check("store.file")
    if is_agent_running and not path.exists():
        text = f"{path} is not there, although an agent has it open"
        return [about.fail(text, "leave the agent running: it puts it back")]
    try:
        if not is_agent_running:
            _check_closed(path, clock, within_ms)
        if not path.exists():
            return [about.ok(f"{path} is not there yet: the agent's first start makes it")]
        with closing(StoreReader(path)) as reader:
            found = reader.damage(clock, within_ms)
        if found:
            return [_broken(about, path, f"{path}: is damaged: {found}", is_agent_running)]
        begun = "" if found is not None else f", as far as {within_ms // 1000} s tell"
        return [about.ok(f"{path} can be read{begun}")]
    except StoreBrokenError as error:
        return [_broken(about, path, str(error), is_agent_running)]
    except StoreError as error:
        text, mark, fix = str(error).rpartition("; ")
        return [about.fail(text, fix) if mark else about.fail(str(error), "check storage.path")]


def _check_closed(path: Path, clock: Clock, within_ms: int) -> None:
    try:
        check_closed(path, clock, within_ms)
    except StoreBrokenError:
        if not is_in_use(path):  # else an agent has just been started
            raise


def _broken(about: Check, path: Path, problem: str, is_agent_running: bool) -> Finding:
    if is_agent_running:
        fix = "leave the agent running: it saves what it has; if this was put here, move it away"
    elif unused(path, "broken", SET_ASIDE_MAX) is None:
        fix = f"check the disk; move {path.name}.broken-* away, then let the agent start"
    elif was_store(path):
        fix = "let the agent start: it sets the file aside and saves what can be read"
    else:
        fix = "this was never a store: set storage.path to another file, or move it away"
    return about.fail(problem, fix)


def _unreadable(path: Path) -> str:
    """Return why nothing can be read there that `check_file` has not told, "" if it can."""
    if not path.exists():
        return "there is no store yet"
    try:
        with closing(StoreReader(path)):
            return ""
    except StoreError:
        return "the store can't be read, see store.file"


def check_ledger(
    path: Path, clock: Clock, within_ms: int = LEDGER_MS, *, is_agent_running: bool = False
) -> list[Finding]:
    """Tell whether the ledger balances. Raises StoreError."""
    about = Check("store.ledger")
    if why := _unreadable(path):
        return [about.skip(why)]
    try:
        ledger = read_ledger_within(path, clock, within_ms)
    except StoreBrokenError as error:
        return [_broken(about, path, str(error), is_agent_running)]
    if ledger is None:
        text = f"the store is too large to be looked through within {within_ms // 1000} s"
        return [about.warn(text, "pyv-edge-host ledger does it, in its own time")]
    if ledger.is_balanced:
        return [about.ok(f"{ledger.total('sampled')} readings are accounted for")]
    whose = [f"boot {boot.boot}" for boot in ledger.boots if not boot.is_balanced]
    whose += [f"sink {sink.name}" for sink in ledger.sinks if not sink.is_balanced]
    shown = ", ".join(whose[:5]) or "readings of no boot"
    fix = "pyv-edge-host ledger shows it; then pyv-edge-host audit verify"
    return [about.fail(f"does not balance: {shown}", fix)]


def check_size(path: Path, storage: dict[str, Any]) -> list[Finding]:
    """Tell how large the store is and how it grows. Raises StoreError, OSError."""
    about = Check("store.size")
    if why := _unreadable(path):
        return [about.skip(why)]
    wal = beside(path, "-wal")
    sizes = f"{show_size(path.stat().st_size)}"
    if wal.exists():
        sizes += f" and a WAL of {show_size(wal.stat().st_size)}"
    try:
        with closing(StoreReader(path)) as reader:
            found = recorded(reader)
    except StoreBrokenError:
        return [about.skip("the store is damaged, see store.ledger")]
    if found is None:
        return [about.ok(f"{sizes}; too little is recorded to tell how it grows")]
    load = Load(
        found.rate_hz, found.channels, storage["commit_interval_ms"], storage["commit_max"]
    )
    grows = show_size(load.file_per_day)
    rate = f"{found.rate_hz:.3g} readings/s, as in the last {show_time(found.span_s)}"
    return [about.ok(f"{sizes}, {grows} more each day at {rate}")]
