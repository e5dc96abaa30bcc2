"""The host's disk: a real store on a real file, whose commits can be slow, fail or never return.

Stands between `SQLiteStore` and its writing connection, since only there is it
known what is durable: before and behind the one COMMIT of a transaction.
"""

import shutil
import sqlite3
from pathlib import Path

from pyv_edge_agent.store import SQLiteStore

PAGES_MAX = 1_000_000_000  # of a disk with room


class Killed(BaseException):
    """The agent's process has ended in the middle of what it did."""


class Disk:
    """What the file system does to the agent, and what survives it."""

    def __init__(self, folder, world):
        self.slowness_ms = 0  # longest time that a commit takes, 0: none
        self.full = 0  # faults that leave no room
        self.kill_at = ""  # "before" or "after" the next COMMIT is durable
        self.lies = 0  # COMMITs that will be done and reported as failed
        self.commits_total = 0
        self._world = world
        self._folder = Path(folder)
        self._run = 0
        self._store = None
        self._writer = None
        self._evidence = None

    @property
    def path(self):
        return self._folder / str(self._run) / "store.db"

    def open_store(self):
        """Open the store as a new process would. Raises StoreError."""
        self._store = store = Store(self.path, self._world.clock)
        store.reconnected = lambda: self._wrap(store)
        self._wrap(store)
        wrap = self._world.sabotage.wrap_store
        return store if wrap is None else wrap(store)

    def _wrap(self, store):
        """The seam: whatever the store writes goes through this connection."""
        self._writer = store._writer = Writer(store._writer, self)
        self.settle_size()

    def settle_size(self):
        """Let the file grow no further while the disk is full."""
        if self._store is None:
            return
        connection = self._writer.connection
        pages = PAGES_MAX
        if self.full:
            (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute("PRAGMA max_page_count = %d" % pages).fetchone()

    def kill(self):
        """End the process: keep the file and its WAL as they are at this moment."""
        if self._store is None:
            return
        self._writer.is_dead = True
        old = self.path
        self._run += 1
        self.path.parent.mkdir()
        for name in (old, old.with_name(old.name + "-wal")):
            if name.exists():
                shutil.copyfile(name, self.path.with_name(name.name))
        self._close(old)

    def close(self):
        """End the process in order."""
        if self._store is not None:
            self.slowness_ms = self.lies = 0  # it is given the time, and told the truth
            self.kill_at = ""
            self._close(None)

    def _close(self, old):
        if old is None:
            self._store.close()
        else:
            self._store.abandon()
        self._store = self._writer = None
        self.kill_at = ""
        self.lies = 0
        if self._evidence is not None:
            self._evidence.close()
            self._evidence = None
        if old is not None:
            shutil.rmtree(old.parent)

    def next_seq(self, boot, stream):
        """Return how far a stream is stored, asked of the file; 0 if it isn't known there."""
        if self._evidence is None:
            if not self.path.exists():
                return 0
            self._evidence = sqlite3.connect(f"file:{self.path}?mode=ro", uri=True)
        row = self._evidence.execute(
            "SELECT next_seq FROM stream JOIN boot ON boot.id = boot_id"
            " WHERE boot.boot = ? AND stream = ?",
            (boot, stream),
        ).fetchone()
        return 0 if row is None else row[0]

    def sampled_total(self, boot):
        """Return what a boot has last said that it has sampled."""
        row = self._evidence.execute(
            "SELECT sampled_total FROM boot WHERE boot = ?", (boot,)
        ).fetchone()
        return row[0]

    # -- around a COMMIT -----------------------------------------------------------

    def before_commit(self):
        world = self._world
        if self.slowness_ms:
            world.struck("slow_disk")
            world.agent.wait(world.rng.randrange(self.slowness_ms) * 1000)  # may raise Killed
        if self.kill_at == "before":
            world.struck("killed_in_commit")
            world.agent.die()
            raise Killed

    def after_commit(self):
        world = self._world
        self.commits_total += 1
        world.trace("disk", "a commit is durable")
        if self.kill_at == "after":
            world.struck("killed_before_ack")
            world.agent.die()
            raise Killed
        if self.lies:
            self.lies = 0
            world.struck("commit_lies")
            raise sqlite3.OperationalError("disk I/O error")

    def failed(self):
        """Note that a statement has failed: only a full disk makes one."""
        assert self.full, "a statement failed on a healthy disk"
        self._world.struck("full_disk")


class Store(SQLiteStore):
    """One that says when it has another connection."""

    def reconnect(self):
        super().reconnect()
        self.reconnected()


class Writer:
    """A connection that knows of the disk. Once its process is dead it does nothing any more."""

    def __init__(self, connection, disk):
        self.connection = connection
        self.is_dead = False
        self._disk = disk

    @property
    def in_transaction(self):
        return not self.is_dead and self.connection.in_transaction

    def execute(self, statement, *parameters):
        if statement != "COMMIT":
            return self._try(self.connection.execute, statement, *parameters)
        self._disk.before_commit()
        done = self._try(self.connection.execute, statement)
        self._disk.after_commit()
        return done

    def executemany(self, statement, rows):
        return self._try(self.connection.executemany, statement, rows)

    def _try(self, call, *arguments):
        try:
            return call(*arguments)
        except sqlite3.OperationalError:
            self._disk.failed()
            raise

    def close(self):
        self.connection.close()
