"""A board's port: whether it is there, who may open it, and who has it open."""

import errno
import os
from pathlib import Path

from ...errors import PortAbsentError
from ...port_search import SHOWN_MAX, ListPorts, find
from .access import READ, WRITE, Accounts, Person
from .finding import Check, Finding
from .process import holders, is_running

GROUP = "dialout"  # whose the serial ports are, on Debian and its kin

# What is known to open ports by itself, and how to keep it from that
_KNOWN = {
    "ModemManager": "sudo pyv-edge-host service install (its rules keep it away from boards)",
    "agetty": "it offers a login there: sudo systemctl disable --now serial-getty@{port}",
    "brltty": "sudo apt purge brltty, unless somebody needs it to read Braille",
    "gpsd": "take the port out of /etc/default/gpsd",
}


def check_presence(
    about: Check, text: str, ports: ListPorts, root: Path
) -> tuple[list[Finding], str | None]:
    """Tell whether the port that `text` means is there; return its path, too."""
    try:
        path = find(text, ports)
    except PortAbsentError as error:
        problem, _, fix = str(error).partition("; ")
        return [about.fail(f"{problem}; {candidates(ports, root)}", fix)], None
    shown = path if path == text else f"{text} is {path}"
    return [about.ok(f"{shown} is there")], path


def candidates(ports: ListPorts, root: Path) -> str:
    """Return in words which ports there are."""
    try:
        found = [port.device for port in ports()]
    except (OSError, TypeError, ValueError) as error:
        return f"ports can't be listed: {error}"
    by_id = root / "dev/serial/by-id"
    names = {os.path.realpath(link): str(link) for link in _links(by_id)}
    shown = [f"{names[path]} ({path})" if path in names else path for path in sorted(found)]
    if not shown:
        return "there is no serial port at all (is the cable one for data? dmesg shows boards)"
    more = f" and {len(shown) - SHOWN_MAX} more" if len(shown) > SHOWN_MAX else ""
    return f"there are {', '.join(shown[:SHOWN_MAX])}{more}"


def _links(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def check_permission(
    about: Check, found: os.stat_result, person: Person, accounts: Accounts, *, can_open: bool
) -> list[Finding]:
    """Tell whether `person` may open a port; `can_open` is what the kernel says, where asked."""
    group = accounts.group(found.st_gid)
    shown = f"{accounts.user(found.st_uid)}:{group} {found.st_mode & 0o777:04o}"
    if person.may(READ | WRITE, found) or can_open:
        return [about.ok(f"user {person.name} may open it ({shown})")]
    text = f"user {person.name} may not open it ({shown})"
    if found.st_mode >> 3 & (READ | WRITE) == READ | WRITE and group != "root":
        fix = f"sudo usermod -aG {group} {person.name}, then log in anew or restart the service"
    else:
        fix = (
            f"sudo pyv-edge-host service install (its rules give boards to {GROUP}), then plug"
            " the board in again"
        )
    return [about.fail(text, fix)]


def check_holder(about: Check, path: str, proc: Path, own_pids: tuple[int, ...]) -> list[Finding]:
    """Tell who else has a port open; `own_pids` are the agent's and ours."""
    real = os.path.realpath(path)
    found = holders(proc, real)
    others = [one for one in found.processes if one.pid not in own_pids]
    if others:
        first = others[0]
        known = _KNOWN.get(first.command, f"end it (kill {first.pid})")
        text = ", ".join(f"{one.command} (process {one.pid})" for one in others)
        return [about.fail(f"{text} has it open", known.format(port=Path(real).name))]
    if len(found.processes) > len(others):
        return [about.ok("the agent has it open")]
    if found.hidden_count:
        return [about.ok("nobody has it open, as far as this user can see; root sees more")]
    return [about.ok("nobody has it open")]


def check_modem_manager(proc: Path, *, has_rules: bool) -> list[Finding]:
    """Tell whether ModemManager may disturb boards that are plugged in."""
    about = Check("port.holder")
    if not is_running(proc, "ModemManager"):
        return [about.skip("ModemManager does not run")]
    if has_rules:
        return [about.ok("ModemManager runs, and is kept away from boards")]
    text = "ModemManager runs, and sends AT commands to each port that appears"
    return [about.warn(text, _KNOWN["ModemManager"])]


def can_open(path: str) -> bool:
    """Return whether this process may open a file, also by an access list. Opens nothing."""
    try:
        return os.access(path, os.R_OK | os.W_OK, effective_ids=True)
    except OSError as error:
        return error.errno not in (errno.EACCES, errno.ENOENT)
