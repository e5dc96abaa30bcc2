"""`pyv-edge-bridge` as a process that stands on a line, and what it prints."""

import json
import signal
import subprocess
import sys

from rig import DEADLINE_S, wait_for

COMMAND = (sys.executable, "-m", "pyv_edge_tools.bridge")


class BridgeProcess:
    """One command; with --json, so that what it says can be asked for."""

    def __init__(self, folder, *words):
        folder.mkdir(exist_ok=True)
        self.log = folder / "out"
        self.errors = folder / "err"
        with self.log.open("wb") as out, self.errors.open("wb") as err:
            self.process = subprocess.Popen(
                [*COMMAND, *map(str, words), "--json"], stdout=out, stderr=err
            )

    def told(self, event=None):
        """Return the lines so far, as objects; those of one kind if `event` names it."""
        whole = self.log.read_text().rpartition("\n")[0]
        found = [json.loads(line) for line in whole.splitlines()]
        return [one for one in found if event in (None, one["event"])]

    def wait_ready(self):
        def is_there():
            assert self.process.poll() is None, self.errors.read_text()
            return self.told("ready")

        (ready,) = wait_for(is_there, "the bridge")
        return ready

    def wait(self):
        """Return the exit status when it ends by itself."""
        return self.process.wait(DEADLINE_S)

    def stop(self):
        """Ctrl-C; return (exit status, the summary)."""
        self.process.send_signal(signal.SIGINT)
        status = self.process.wait(DEADLINE_S)
        assert self.errors.read_text() == ""
        (summary,) = self.told("summary")
        return status, summary

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def run(*words, **more):
    """Run a command to its end."""
    return subprocess.run(
        [*COMMAND, *map(str, words)],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
        **more,
    )
