"""Where the store is: whether it can be written there, and how much room there is."""

import os
from collections.abc import Callable
from pathlib import Path

from ...disk import beside
from ...parts import MEGABYTE
from ...sizing import show_size
from ...store import Limits
from .access import READ, SEARCH, WRITE, Accounts, Person
from .finding import Check, Finding

StatDisk = Callable[[Path], os.statvfs_result]

FREE_SIZE_MIN = MEGABYTE  # with less, SQLite can't commit
BACKUP_DAYS = 14  # after which nobody goes back to the version before
DRAFT_DAYS = 1  # after which nobody makes it any more
_DAY_MS = 86_400_000


def check_folder(
    path: Path, person: Person, accounts: Accounts, stat_disk: StatDisk = os.statvfs
) -> list[Finding]:
    """Tell whether `person` can write a store at `path`. Raises OSError."""
    about = Check("store.folder")
    place = path.parent.absolute()
    dangling = next((one for one in (place, *place.parents) if is_dangling(one)), None)
    if dangling is not None:
        to = os.readlink(dangling)
        fix = "make that folder, mount its disk, or change storage.path"
        return [about.fail(f"{dangling} is a link to {to}, which is not there", fix)]
    folder = nearest(path.parent)
    if not folder.is_dir():
        return [about.fail(f"{folder} is no folder", "move it away, or change storage.path")]
    if stat_disk(folder).f_flag & os.ST_RDONLY:
        return [
            about.fail(
                f"{folder} is on a file system that can only be read",
                "the kernel does that to a disk with errors: dmesg tells; check it (fsck), then"
                " mount -o remount,rw",
            )
        ]
    if not person.may(READ | WRITE | SEARCH, folder.stat()):
        return [
            about.fail(
                f"user {person.name} may not write into {folder}",
                _owned_by(person, path, accounts) or f"sudo chown {person.name}: {folder}",
            )
        ]
    for file in (path, *(beside(path, end) for end in ("-wal", "-shm", ".lock"))):
        if file.exists() and not person.may(READ | WRITE, file.stat()):
            return [
                about.fail(
                    f"user {person.name} may not write {file}: has the agent run as another user?",
                    _owned_by(person, path, accounts) or f"sudo chown {person.name}: {path}*",
                )
            ]
    return [about.ok(f"user {person.name} can write to {folder}")]


def _owned_by(person: Person, path: Path, accounts: Accounts) -> str:
    """Return what to do if the store is another user's, "" if it isn't."""
    if not path.exists() or path.stat().st_uid in (person.uid, 0):
        return ""
    owner = accounts.user(path.stat().st_uid)
    return (
        f"it is {owner}'s: run the agent, and this, as {owner}; or, if {person.name} is to run it,"
        f" sudo chown {person.name}: {path.parent} {path}*"
    )


def is_dangling(path: Path) -> bool:
    """Return whether a path is a link to what is not there."""
    return path.is_symlink() and not path.exists()


def nearest(folder: Path) -> Path:
    """Return the folder, or what there is of those that it would be in."""
    place = folder.absolute()
    while not place.exists():
        place = place.parent
    return place


def check_disk(path: Path, limits: Limits, stat_disk: StatDisk = os.statvfs) -> list[Finding]:
    """Tell whether the disk has the room that is configured. Raises OSError."""
    about = Check("store.disk")
    found = stat_disk(nearest(path.parent))
    free_size = found.f_bavail * found.f_frsize
    shown = f"{show_size(free_size)} are free"
    fix = "make room (du -xh / | sort -h | tail)"
    if found.f_files and not found.f_favail:
        return [about.fail("the disk can hold no more files, whatever room it has", fix)]
    if free_size < FREE_SIZE_MIN:
        return [about.fail(f"{shown}: nothing can be stored", fix)]
    if free_size < limits.min_free:
        return [
            about.warn(
                f"{shown}, less than storage.min_free_mb: the oldest readings have to go",
                f"{fix}, or lower storage.min_free_mb",
            )
        ]
    store_size = sum(one.stat().st_size for one in (path, beside(path, "-wal")) if one.is_file())
    if limits.max_size > store_size + free_size - limits.min_free:
        return [
            about.warn(
                f"{shown}, and storage.max_mb is more than there is",
                "lower storage.max_mb, or use a larger disk",
            )
        ]
    return [about.ok(shown)]


def check_leftovers(path: Path, now_ms: int) -> list[Finding]:
    """Find what was set aside beside the store, or not cleaned up. Raises OSError."""
    about = Check("store.leftovers")
    folder = path.parent
    found = sorted(folder.glob(f"{path.name}.*")) if folder.is_dir() else []
    findings = []
    for file in found:
        end = file.name[len(path.name) + 1 :]
        size = show_size(file.stat().st_size)
        days = (now_ms - file.stat().st_mtime_ns // 1_000_000) / _DAY_MS
        if end.startswith(("broken-", "replaced-")) and end.endswith(("-wal", "-shm")):
            continue  # goes with its file
        if end.startswith("broken-"):
            text = f"{file} ({size}) is a damaged store that was set aside"
            findings.append(about.warn(text, "move it away: it is evidence, and takes room"))
        elif end.startswith("replaced-"):
            text = f"{file} ({size}) was open when another file was put in its place"
            findings.append(about.warn(text, "move it away: it has readings that no other has"))
        elif end.endswith(".backup") and days >= BACKUP_DAYS:
            text = f"{file} ({size}) is from before an upgrade, {days:.0f} days ago"
            findings.append(about.warn(text, f"if all is well, rm {file}"))
        elif end.endswith(("new", "copy")) and days >= DRAFT_DAYS:
            findings.append(about.warn(f"{file} ({size}) is half a copy", f"rm {file}"))
    return findings or [about.ok("nothing was set aside")]
