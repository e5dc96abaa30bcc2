"""An example's folder as a test runs it: a copy, with free ports in the place of its own."""

import os
import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

from host.processes import free_port
from host.waiting import wait_for
from pyv_edge_agent.store import read_ledger

EXAMPLES = Path(__file__).parents[1] / "host" / "examples"


class Example:
    """A copy of an example, and the processes it is made of."""

    def __init__(self, place, folder):
        self.folder = folder
        shutil.copytree(EXAMPLES / place, folder)
        self.ports = {}

    def config(self):
        """Return the path of its configuration, with free ports in the place of its own."""
        path = self.folder / "edge.toml"
        text = re.sub(
            r"\b(80\d\d|1883|4222)\b", lambda one: str(self.port(one[0])), path.read_text()
        )
        path.write_text(f'{text}\n[health]\nport = 0\n[time]\nsource = "trusted"\n')
        return path

    def port(self, shown):
        """Return the free port that stands for one that the example shows."""
        return self.ports.setdefault(str(shown), free_port())

    @contextmanager
    def process(self, *command):
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, *map(str, command)],
                cwd=self.folder,
                stdout=log,
                stderr=log,
                env={**os.environ, "NO_PROXY": "*"},
            )
        try:
            yield process
        finally:
            process.terminate()
            process.wait(30)

    def agent(self):
        return self.process("-m", "pyv_edge_agent.cli", "run", "--config", self.config())

    def shown(self, script, command):
        """Return the lines that a script's docstring shows behind a command."""
        text = (self.folder / script).read_text().split('"""')[1]
        behind = text.split(f"$ {command}")[1].split("\n", 1)[1]
        lines = re.split(r"\n\s*\n|\n    \$ ", behind)[0].rstrip().splitlines()
        return [line.strip() for line in lines]

    def run(self, *command):
        done = subprocess.run(
            [sys.executable, *map(str, command)],
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def stored(self):
        """Return (sensor, value, unit) of each reading that is stored."""
        path = self.folder / "data" / "edge_store.db"
        if not path.exists():
            return []
        # Only to read: who opens a store before its agent does would close its WAL.
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        try:
            found = connection.execute("SELECT sensor, value, unit FROM readings ORDER BY id")
            return found.fetchall()
        except sqlite3.OperationalError:
            return []  # it is being made
        finally:
            connection.close()

    def is_sent(self, sink):
        """Return whether something is stored and the sink has all of it."""
        if not self.stored():
            return False
        ledger = read_ledger(self.folder / "data" / "edge_store.db")
        return [one.pending for one in ledger.sinks if one.name == sink] == [0]

    def wait_logged(self, lines):
        """Wait until the example's processes have printed these lines."""
        for line in lines:
            wait_for(lambda: line in self.log().splitlines(), line, 30)  # noqa: B023

    def log(self):
        """Return what the example's processes have printed so far."""
        return (self.folder / "log").read_text()

    def query(self, *what):
        """Return what `pyv-edge-host query` shows, as words."""
        config = self.folder / "edge.toml"
        told = self.run("-m", "pyv_edge_agent.cli", "query", "--config", config, *what)
        return as_words(told.splitlines())


def as_words(lines):
    """Return the words of each line; all times of rows are alike."""
    return [re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME", line).split() for line in lines]
