"""Who may open what, by the bits of a file's mode."""

import grp
import os
import pwd
from dataclasses import dataclass
from pathlib import Path

READ, WRITE, SEARCH = 4, 2, 1  # as in a mode


@dataclass(frozen=True)
class Person:
    """A user of this computer, with the groups that are in force for it."""

    name: str
    uid: int
    gids: frozenset[int]

    def may(self, bits: int, found: os.stat_result) -> bool:
        """Return whether the mode of what was found lets them read, write, search."""
        if self.uid == 0:
            return True
        if found.st_uid == self.uid:
            allowed = found.st_mode >> 6
        elif found.st_gid in self.gids:
            allowed = found.st_mode >> 3
        else:
            allowed = found.st_mode
        return allowed & bits == bits


def asker() -> Person:
    """Return who runs this process."""
    uid = os.geteuid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = str(uid)
    return Person(name, uid, frozenset({os.getegid(), *os.getgroups()}))


class Accounts:
    """The users and groups that this computer knows."""

    def person(self, name: str, *groups: str) -> Person | None:
        """Return a user, also as a member of `groups`; None if there is no such user."""
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            return None
        gids = set(os.getgrouplist(name, entry.pw_gid))
        gids |= {gid for group in groups if (gid := self.gid(group)) is not None}
        return Person(name, entry.pw_uid, frozenset(gids))

    def gid(self, name: str) -> int | None:
        """Return the number of a group, None if there is no such group."""
        try:
            return grp.getgrnam(name).gr_gid
        except KeyError:
            return None

    def group(self, gid: int) -> str:
        """Return the name of a group, its number if it has none."""
        try:
            return grp.getgrgid(gid).gr_name
        except KeyError:
            return str(gid)

    def user(self, uid: int) -> str:
        """Return the name of a user, its number if it has none."""
        try:
            return pwd.getpwuid(uid).pw_name
        except KeyError:
            return str(uid)


def runner(pid: int, proc: Path, accounts: Accounts) -> Person | None:
    """Return who runs a process, None if it isn't there or nobody knows its user."""
    try:
        uid = (proc / str(pid)).stat().st_uid
    except OSError:
        return None
    return accounts.person(accounts.user(uid))


def is_open_to_others(path: Path) -> bool:
    """Return whether users may read a file who are neither its owner nor in its group.

    Raises OSError.
    """
    return bool(path.stat().st_mode & READ)
