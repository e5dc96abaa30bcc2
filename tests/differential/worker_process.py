"""The MicroPython that answers scripts: one process for the session, a new one if it dies."""

import os
import select
import subprocess
import time
from pathlib import Path

_HERE = Path(__file__).resolve().parent
_ANSWER_SECONDS_MAX = 60


class WorkerDied(AssertionError):
    """The worker ended, or gave no answer; the text has the script and what it wrote."""


class Worker:
    """Answers lines with lines."""

    def __init__(self, program, core=None):
        """`core` is the folder that pyv_edge_core comes from, `shared` unless given."""
        # A board's heap would hide no difference, but end scripts early: the lanes have that.
        self._command = [program, "-X", "heapsize=1m", str(_HERE / "worker.py")]
        if core is not None:
            self._command.append(str(core))
        self._process = None
        self.started_total = 0

    def ask(self, line):
        """Return the answer to `line`. Raises WorkerDied; the next call starts a new worker."""
        if self._process is None:
            # MicroPython writes its tracebacks to either, and only answers begin with a bracket.
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
            self.started_total += 1
        try:
            self._process.stdin.write(line.encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._ended(line, b"", "is gone") from None
        return self._read_line(line)

    def close(self):
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _read_line(self, line):
        output = self._process.stdout.fileno()
        deadline = time.monotonic() + _ANSWER_SECONDS_MAX
        answer = b""
        while not answer.startswith(b"[") or not answer.endswith(b"\n"):
            if not select.select([output], [], [], max(0, deadline - time.monotonic()))[0]:
                raise self._ended(line, answer, f"gave no answer in {_ANSWER_SECONDS_MAX} s")
            piece = os.read(output, 65536)
            if not piece:
                raise self._ended(line, answer, "has ended")
            answer += piece
        # A text that is no UTF-8 is a difference to be shown, not an error of this reader.
        return answer.decode(errors="surrogateescape")

    def _ended(self, line, written, what):
        self.close()
        command = " ".join(self._command)
        return WorkerDied(f"{command} {what}\nscript: {line}\n{written.decode(errors='replace')}")
