"""An agent with its devices, as processes, for the page to show."""

import json
import re
import sqlite3
import urllib.request

from rig import AgentProcess, Cable


class Site:
    """An agent that runs in a folder of its own."""

    def __init__(self, folder, settings):
        self.agent = AgentProcess(folder, settings)

    def start(self):
        self.agent.start()
        return self

    def kill(self):
        if self.agent.process is not None and self.agent.process.poll() is None:
            self.agent.kill()

    @property
    def url(self):
        return re.findall(r"health is served at (http://[\d.:]+)/health", self.agent.text())[-1]

    def ask(self, name, query=""):
        """Return what the API says."""
        with urllib.request.urlopen(f"{self.url}/api/v1/{name}?{query}", timeout=30) as reply:
            return json.load(reply)

    def rows(self, statement, *parameters):
        """Return rows of the store, read beside the agent."""
        connection = sqlite3.connect(f"file:{self.agent.db}?mode=ro", uri=True)
        try:
            return connection.execute(statement, parameters).fetchall()
        finally:
            connection.close()

    def newest(self, sensor):
        """Return (time in ms, value) of the newest reading of a sensor; None without one."""
        found = self.rows(
            "SELECT utc_ms, readings.value FROM readings JOIN reading USING (id)"
            " WHERE sensor = ? ORDER BY utc_ms DESC, id DESC LIMIT 1",
            sensor,
        )
        return found[0] if found else None

    def values_at(self, sensor, utc_ms):
        """Return the values of a sensor that are stored with this time."""
        found = self.rows(
            "SELECT readings.value FROM readings JOIN reading USING (id)"
            " WHERE sensor = ? AND utc_ms = ?",
            sensor,
            utc_ms,
        )
        return [row[0] for row in found]


class Meter:
    """A program that writes measurements to a file, which the agent reads as it grows."""

    def __init__(self, path, name="meter"):
        self.path = path
        self.device = {
            "name": name,
            "ingest_type": "file",
            "path": str(path),
            "format": "csv",
            "columns": "channel,value,quality",
            "channel_path": "channel",
            "quality_path": "quality",
            "time_path": "",
            "interval_seconds": 0.05,
            "unit": "W",
        }
        path.touch()

    def write(self, channel, value, quality="good"):
        with self.path.open("a") as file:
            file.write(f"{channel},{value},{quality}\n")


class Plug:
    """A board's cable, and whether it is plugged in."""

    def __init__(self, board, path):
        self.path = path
        self._cable = Cable(board.path, path)
        self._is_in = False
        self.push()

    def push(self):
        self._cable.plug()
        self._is_in = True

    def pull(self):
        if self._is_in:
            self._cable.cut()
            self._is_in = False

    def silence(self, is_silent):
        """Let nothing of what the board says through, and then again."""
        self._cable.towards_host = (lambda data: b"") if is_silent else (lambda data: data)
