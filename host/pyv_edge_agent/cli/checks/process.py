"""Processes, and who has a file open: what /proc tells."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

COMMAND_LENGTH_MAX = 15  # of what the kernel keeps of a name


@dataclass(frozen=True)
class Process:
    """One that runs."""

    pid: int
    command: str  # its name, cut to what the kernel keeps


def processes(proc: Path) -> Iterator[Process]:
    """Yield the processes that run; those that end meanwhile may be missing."""
    for folder in proc.iterdir():
        if folder.name.isdecimal():
            try:
                command = (folder / "comm").read_text(encoding="utf-8", errors="replace")
            except OSError:
                continue  # it has ended
            yield Process(int(folder.name), command.strip())


@dataclass(frozen=True)
class Holders:
    """Who has a file open."""

    processes: list[Process]
    hidden_count: int  # processes that can't be looked into by this user


def holders(proc: Path, target: str) -> Holders:
    """Return who has the file `target` open, a real path or what /proc has in its place."""
    found = []
    hidden_count = 0
    for process in processes(proc):
        try:
            with os.scandir(proc / str(process.pid) / "fd") as descriptors:
                if any(_leads_to(one.path, target) for one in descriptors):
                    found.append(process)
        except PermissionError:
            hidden_count += 1
        except FileNotFoundError:
            continue  # it has ended
    return Holders(found, hidden_count)


def _leads_to(link: str, target: str) -> bool:
    try:
        return os.readlink(link) == target
    except OSError:
        return False


def is_running(proc: Path, command: str) -> bool:
    """Return whether there is a process of that name."""
    return any(one.command == command[:COMMAND_LENGTH_MAX] for one in processes(proc))
