"""What the tests of virtual boards are built from: a board, stock mpremote, a raw prompt."""

import subprocess
import sys
from contextlib import contextmanager
from importlib.util import find_spec

import pytest
import serial
from interpreter import find_program
from pyv_edge_tools.virtual import RP2_CDC, Board
from waiting import wait_for

DEADLINE_S = 30.0
RAW_PROMPT = b"raw REPL; CTRL-B to exit\r\n>"
END = b"\x04>"  # of what a program at the raw prompt has to say


def need_micropython():
    """Skip where there is no MicroPython, fail in CI; return its path."""
    return find_program("micropython", "PYV_MICROPYTHON")


def need_mpremote():
    if find_spec("mpremote") is None:
        pytest.skip("no mpremote: pip install '.[flash]' in a clone")


@contextmanager
def played(folder, manner=RP2_CDC, *, files=None, **settings):
    """Play a board whose flash has `files` in it, {name: text}; it is up."""
    board = Board(folder, manner=manner, micropython=need_micropython(), **settings)
    if files:
        put(board, folder, files)
    with board:
        wait_up(board)
        yield board


def put(board, folder, files):
    """Put {name: text or bytes} into the flash of a board that is off."""
    tree = folder / "tree"
    for name, content in files.items():
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    board.flash.put(tree)


def wait_up(board):
    wait_for(lambda: board.is_up and board.path.exists(), "the board is up", DEADLINE_S)


def mpremote(board, *arguments, cwd=None, is_refused=False):
    """Return what stock mpremote prints; fail if it fails, or if it doesn't and should."""
    need_mpremote()
    done = subprocess.run(
        [sys.executable, "-m", "mpremote", "connect", str(board.path), *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=DEADLINE_S,
        check=False,
    )
    said = done.stdout + done.stderr
    assert bool(done.returncode) == is_refused, f"{arguments}: {done.returncode}: {said}"
    return said


class Port(serial.Serial):
    """A port of which nothing is lost: pyserial throws away what has come while it opens one."""

    def _reset_input_buffer(self):
        pass


class Prompt:
    """A host that talks to a board's prompt, byte for byte."""

    def __init__(self, board):
        self.port = Port(str(board.path), timeout=DEADLINE_S)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.port.close()

    def until(self, end):
        """Return what comes, up to and with `end`."""
        said = self.port.read_until(end)
        assert said.endswith(end), f"no {end!r} within {DEADLINE_S} s, but {said!r}"
        return said

    def send(self, data):
        assert self.port.write(data) == len(data)

    def enter_raw(self):
        self.send(b"\r\x03\x01")
        self.until(RAW_PROMPT)

    def begin(self, code):
        """Begin to run `code` at the raw prompt."""
        self.send(code.encode() + b"\x04")
        self.until(b"OK")

    def run(self, code):
        """Run `code` at the raw prompt; return (output, traceback)."""
        self.begin(code)
        output, error = self.until(END)[: -len(END)].split(b"\x04")
        return output.decode(), error.decode()
