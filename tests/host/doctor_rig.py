"""Machines with this or that broken, for the checks of doctor: real files below a folder."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

from host.fakes import FakeClock
from pyv_edge_agent.cli.checks.access import Person

SOMEBODY = Person("pi", 1000, frozenset({1000}))


def lines(found):
    """Return findings as (level, what, text)."""
    return [(one.level, one.what, one.text) for one in found]


def only(found):
    """Return the one finding there is; what is wrong must say what to do, and where it is told."""
    (one,) = found
    assert bool(one.fix) == bool(one.see) == (one.level in ("warn", "fail")), one
    assert "\n" not in one.text + one.fix
    return one


def write(root, files):
    """Write files below a root, by their paths."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def disk(free=10**10, *, files=1000, flag=0):
    """Return what says of any folder that its disk has so much free."""
    figures = SimpleNamespace(
        f_bavail=free, f_frsize=1, f_files=10**6, f_favail=files, f_flag=flag
    )
    return lambda folder: figures


class FakeAccounts:
    """Users and groups by name, and the groups that each is in."""

    def __init__(self, users=None, groups=None):
        self.users = users or {}  # name: (uid, gids)
        self.groups = groups or {"dialout": 20}

    def person(self, name, *groups):
        if name not in self.users:
            return None
        uid, gids = self.users[name]
        more = [self.groups[group] for group in groups if group in self.groups]
        return Person(name, uid, frozenset([*gids, *more]))

    def gid(self, name):
        return self.groups.get(name)

    def group(self, gid):
        return next((name for name, number in self.groups.items() if number == gid), str(gid))

    def user(self, uid):
        return next((name for name, one in self.users.items() if one[0] == uid), str(uid))


def add_process(proc, pid, command, *open_files):
    """Add a process to a /proc, with files that it has open."""
    folder = Path(proc) / str(pid)
    (folder / "fd").mkdir(parents=True)
    (folder / "comm").write_text(f"{command[:15]}\n")
    for number, file in enumerate(open_files):
        (folder / "fd" / str(number)).symlink_to(file)


class Opened:
    """A program that has a file open, until the block ends."""

    def __init__(self, path):
        code = (
            f"import os, sys; os.open({str(path)!r}, os.O_RDWR | os.O_NOCTTY); print(flush=True)"
        )
        code += "; sys.stdin.read()"
        self._process = subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._process.stdout.readline()

    def __enter__(self):
        return self._process.pid

    def __exit__(self, *_):
        self._process.stdin.close()
        self._process.wait(20)
        self._process.stdout.close()


def healthy_root(folder):
    """Return the root of a machine on which nothing is wrong."""
    (folder / "tmp").mkdir(parents=True)
    os.chmod(folder / "tmp", 0o1777)
    return write(folder, {"proc/meminfo": "MemTotal: 4000000 kB\nMemAvailable: 3000000 kB\n"})


def config_file(folder, **sections):
    """Write a configuration that is right; return its path."""
    values = {"time": {"source": "trusted"}, "health": {"port": 0}, **sections}
    path = folder / "edge.json"
    path.write_text(json.dumps(values))
    return path


def old_clock():
    """Return a clock of long ago, which this computer's files are ahead of."""
    return FakeClock(utc_ms=1_000_000_000_000)
