"""A file that somebody writes, moves and cuts off; and an adapter that reads it, step by step."""

import os
import shutil

from host.fakes import FakeClock
from pyv_edge_agent.adapters import create_adapter
from pyv_edge_agent.config import Config
from pyv_edge_agent.submission import Feed, Verdict


def file_device(path, **settings):
    """Return the checked table of a file device."""
    table = {"name": "log", "ingest_type": "file", "path": str(path), **settings}
    return Config({"sensors": {"devices": [table]}}).get("sensors", "devices")[0]


class Shelf:
    """A store that takes at once what is brought, or gives it up."""

    def __init__(self):
        self.samples = []
        self.positions = {}  # by source
        self.sizes = []  # of the pieces
        self.give_up = 0  # how many of the next are given up
        self.refuse = 0
        self.full = 0  # how often there is no room

    def put(self, feed, submission):
        if self.full:
            self.full -= 1
            return False
        stands_at = self.positions.get(feed.source, "")
        if self.give_up or submission.after not in (None, stands_at):
            self.give_up = max(0, self.give_up - 1)
            submission.settle(Verdict.GIVEN_UP, "")
        elif self.refuse:
            self.refuse -= 1
            submission.settle(Verdict.REFUSED, "")
        else:
            self.samples += submission.samples
            self.sizes.append(len(submission.samples))
            self.positions.pop(feed.source, None)  # the last one is at the end
            self.positions[feed.source] = submission.position
            submission.settle(Verdict.STORED, "")
        return True

    @property
    def values(self):
        return [sample.value for sample in self.samples]


class Log:
    """What another program writes. Each write and copy is a second later than the one before."""

    def __init__(self, path):
        self.path = path
        self.writer = None  # None: it opens the file for each line
        self.now_s = 1_780_000_000
        self.backups = 0

    def hold_open(self):
        self.writer = self.path.open("ab", buffering=0)

    def write(self, data):
        data = data if isinstance(data, bytes) else data.encode()
        if self.writer is not None:
            self.writer.write(data)
            self.date(self.writer.fileno())
        else:
            with self.path.open("ab") as file:
                file.write(data)
            self.date(self.path)

    def date(self, path):
        self.now_s += 1
        os.utime(path, (self.now_s, self.now_s))

    def add(self, *numbers):
        """Write a line of JSON for each number."""
        self.write("".join(f'{{"value": {number}}}\n' for number in numbers))

    def _name(self, end):
        return self.path.with_name(self.path.name + end)

    def _make_way(self, end):
        """Give those that were moved away before the next higher number."""
        if end == ".1":
            number = 1
            while self._name(f".{number}").exists():
                number += 1
            for other in range(number - 1, 0, -1):
                self._name(f".{other}").rename(self._name(f".{other + 1}"))

    def move_away(self, end=".1"):
        self._make_way(end)
        self.path.rename(self._name(end))

    def cut_off(self, end=".1"):
        """Copy it, and begin anew in the same file, as logrotate's copytruncate does."""
        self._make_way(end)
        shutil.copyfile(self.path, self._name(end))
        self.date(self._name(end))
        os.truncate(self.path, 0)
        self.date(self.path)

    def back_up(self, of="", end=None):
        """Copy it, or one that was moved away, under a date."""
        self.backups += 1
        to = self._name(end or f".{20_261_000 + self.backups}")
        shutil.copyfile(self._name(of), to)
        self.date(to)

    def copy_and_delete(self):
        self.back_up()
        self.path.unlink()

    def moved(self, number):
        return self._name(f".{number}")

    def touch(self, end=".1"):
        self.date(self._name(end))


class Reading:
    """An adapter on a shelf, in this thread."""

    def __init__(self, path, **settings):
        self.settings = {"time_path": "", **settings}
        self.path = path
        self.shelf = Shelf()
        self.clock = FakeClock()
        self.adapter = None
        self.start()

    def start(self):
        """Begin as after a kill: only what is on the shelf is known."""
        if self.adapter is not None:
            self.adapter.close()
        table = file_device(self.path, **self.settings)
        self.adapter = create_adapter(table, self.clock)
        self.feed = Feed(
            table, self.shelf.put, lambda name: self.shelf.positions.copy(), self.clock
        )
        self.adapter.begin(self.feed)

    @property
    def problem(self):
        return self.adapter.status()["connection_problem"]

    def read(self, looks=1):
        """Let it look so often, each time until there is nothing more; return all values."""
        for _ in range(looks):
            while self.adapter.step():
                pass
        return self.shelf.values

    def follow(self, path, **settings):
        """Begin as after a reload with another path."""
        self.path = path
        self.settings |= settings
        self.start()
