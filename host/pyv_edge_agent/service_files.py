"""The files by which systemd runs the agent: unit, user, rules for boards.

They are templates beside this module, in systemd/. What is filled in is where this very
program is installed, its configuration, its user, and the folders it needs that the unit
hides or protects. Each begins with MARK: what doesn't is somebody else's, and not touched.
"""

import os
import re
import sys
import sysconfig
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pyv_edge_core

from .config import Config
from .disk import write_whole
from .errors import StartError, UsageError
from .policy import keeps_key

UNIT = "pyv-edge.service"
STATE_FOLDER = Path("/var/lib/pyv-edge")  # StateDirectory= of the unit
MARK = "Written by `pyv-edge-host service install`, each time anew."
TEMPLATES = Path(__file__).parent / "systemd"
# template: where it goes
PLACES = {
    UNIT: Path("/etc/systemd/system") / UNIT,
    "pyv-edge.sysusers": Path("/etc/sysusers.d/pyv-edge.conf"),
    "pyv-edge.rules": Path("/etc/udev/rules.d/65-pyv-edge.rules"),
}
ENABLED = Path("/etc/systemd/system/multi-user.target.wants") / UNIT  # is there if it is enabled

_HIDDEN = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")  # noqa: S108 - ProtectHome, PrivateTmp
_MODE = 0o644
# A unit can hold others only in quotes, which mean something else in each of its lines.
_PATH = re.compile(r"/[\w./@+=,-]*")
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,30}")

WRITTEN, CHANGED, UNCHANGED = "new", "changed", "unchanged"
REMOVED, ABSENT = "removed", "not there"


@dataclass(frozen=True)
class Step:
    """What is to become of one file: it is to hold `text`, or not to be there if that is None."""

    path: Path
    text: str | None
    state: str  # how that compares with what is there

    def carry_out(self) -> None:
        """Write or remove the file. Raises OSError."""
        if self.state in (UNCHANGED, ABSENT):
            return
        if self.text is None:
            self.path.unlink()
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(self.path, self.text.encode())
        self.path.chmod(_MODE)


@dataclass(frozen=True)
class Needs:
    """What the service is made for."""

    program: Path
    config: Path
    user: str
    program_folders: tuple[Path, ...] = ()  # where it is installed
    write_folders: tuple[Path, ...] = ()  # where it writes, beside STATE_FOLDER
    read_folders: tuple[Path, ...] = ()  # where devices are that are files

    @property
    def opened_folders(self) -> tuple[Path, ...]:
        """The folders that the configuration names."""
        return (*self.write_folders, *self.read_folders)

    def check(self) -> None:
        """Raise UsageError for what a unit can't hold."""
        if not _USER.fullmatch(self.user) or self.user == "root":
            raise UsageError(
                f"--user: {self.user!r} won't do; it must be an ordinary user, by name: the agent"
                " needs no right of root"
            )
        for path in (self.program, self.config, *self.program_folders, *self.opened_folders):
            if not _PATH.fullmatch(str(path)):
                raise UsageError(
                    f"{str(path)!r}: a unit can't hold such a path; use one of letters, digits"
                    " and /._-@+=,"
                )


def installed_program() -> tuple[Path, tuple[Path, ...]]:
    """Return this program's command, and the folders that it runs from. Raises StartError."""
    program = Path(sysconfig.get_path("scripts")) / "pyv-edge-host"
    if not program.is_file():
        raise StartError(
            f"{program}: there is no such command; install pyv-edge into a virtual environment"
        )
    packages = [Path(one).parents[1] for one in (__file__, pyv_edge_core.__file__)]
    return program, _outermost([Path(sys.prefix), Path(sys.base_prefix), *packages])


def written_folders(config: Config) -> tuple[Path, ...]:
    """Return the folders that an agent with these settings writes to, beside STATE_FOLDER."""
    folders = [config.store_path.parent]
    if keeps_key(config.get("privacy")):
        folders.append(config.hash_key_path.parent)
    sink = config.get("sinks", "file")
    if sink["enabled"]:
        folders.append(config.folder / sink["folder"])
    found = _outermost([Path(os.path.abspath(folder)) for folder in folders])
    return tuple(folder for folder in found if not folder.is_relative_to(STATE_FOLDER))


def read_folders(config: Config) -> tuple[Path, ...]:
    """Return the folders of the files that devices read."""
    devices = config.get("sensors", "devices")
    paths = [config.folder / one["path"] for one in devices if one["ingest_type"] == "file"]
    return _outermost(Path(os.path.abspath(path)).parent for path in paths)


def _outermost(folders: Iterable[Path]) -> tuple[Path, ...]:
    """Return the folders, without those that are in another one of them."""
    all_ = sorted(set(folders))
    return tuple(one for one in all_ if not any(other in one.parents for other in all_))


def plan_install(needs: Needs, root: Path) -> list[Step]:
    """Return what is to be written below `root`.

    Raises UsageError for what a unit can't hold, and if another's file is in the way.
    """
    needs.check()
    values = {
        "MARK": MARK,
        "USER": needs.user,
        "PROGRAM": str(needs.program),
        "CONFIG": str(needs.config),
        "FOLDERS": "".join(f"{line}\n" for line in _folder_lines(needs)),
    }
    steps = []
    for name, path in PLACES.items():
        template = (TEMPLATES / name).read_text(encoding="utf-8")
        text = re.sub("@([A-Z]+)@", lambda found: values[found[1]], template)
        place = _below(root, path)
        before = _ours(place)
        state = WRITTEN if before is None else UNCHANGED if before == text else CHANGED
        steps.append(Step(place, text, state))
    return steps


def plan_uninstall(root: Path) -> list[Step]:
    """Return what is to be removed below `root`: what `plan_install` has, and nothing else.

    Raises UsageError if one of the files is another's by now.
    """
    places = [_below(root, path) for path in PLACES.values()]
    return [Step(place, None, ABSENT if _ours(place) is None else REMOVED) for place in places]


def is_enabled(root: Path) -> bool:
    """Return whether systemd starts the service at boot."""
    return os.path.lexists(_below(root, ENABLED))


def _below(root: Path, path: Path) -> Path:
    return root / path.relative_to("/")


def _ours(path: Path) -> str | None:
    """Return what is in a file of ours, None if there is none. Raises UsageError."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None
    if MARK not in text.partition("\n")[0]:
        raise UsageError(
            f"{path}: was not written by `service install`, and is left alone; move it away"
        )
    return text


def _folder_lines(needs: Needs) -> Iterable[str]:
    """Return the lines of a unit that open what it else hides or protects."""
    run_folders = _outermost([*needs.program_folders, needs.config.parent])
    hidden = [folder for folder in run_folders if _is_hidden(folder)]
    watched = [folder for folder in needs.read_folders if _is_hidden(folder)]
    if hidden or watched or needs.write_folders:
        yield "# Except for what it runs from, and what the configuration has it read and write."
    for folder in hidden:
        yield f"BindReadOnlyPaths={folder}"
    for folder in watched:
        yield f"BindReadOnlyPaths=-{folder}"
    for folder in needs.write_folders:
        # With a minus: that a folder is missing tells the agent, which knows what it is for.
        yield f"{'BindPaths' if _is_hidden(folder) else 'ReadWritePaths'}=-{folder}"


def _is_hidden(folder: Path) -> bool:
    return any(folder.is_relative_to(one) for one in _HIDDEN)
