"""What the tests of the flasher are built from: sets of files, and a line that can be cut."""

import io

from pyv_edge_tools import build_device
from pyv_edge_tools.flash import on_board
from pyv_edge_tools.flash.deploy import Wanted, deploy
from pyv_edge_tools.flash.repl import Repl
from pyv_edge_tools.flash.telling import Telling

# A node that is no more than its HELLO: it boots at once, and says which set it is.
TINY_START = """
import sys
from binascii import crc32
from struct import pack
def begin(slots):
    with open(slots.folder + '/manifest', 'rb') as file:
        mine = crc32(file.read())
    with open(slots.settings_path, 'rb') as file:
        settings = crc32(file.read())
    flags = FLAGS | (1 if slots.is_on_trial else 0)
    body = pack('<BBHIIHBBBBBIIIIIIIIIIIIIIIII', 1, 1, 1, 1, 0, 0, 1, 1, 1, flags, 0, 0, 0, 0, 0,
        0, 0, 0, settings, 0, mine, slots.boots, 1, 0, 0, 0, 0, 0)
    for text in (b'tiny', b'unix', b'VERSION', b'0'):
        body += bytes([len(text)]) + text
    body += pack('<I', crc32(body))
    body = body.replace(b'}', b'}]').replace(b'~', b'}^')
    sys.stdout.buffer.write(b'~' + body + b'~')
    print('runs VERSION')
    return lambda: None
"""


def tiny(version, *, flags=0, **others):
    """Return the files of a set that says `version`, and has `flags` in its HELLO."""
    start = TINY_START.replace("VERSION", version).replace("FLAGS", str(flags))
    files = {"pyv_edge_node/__init__.py": b"", "pyv_edge_node/start.py": start.encode()}
    files.update({path: content.encode() for path, content in others.items()})
    return files


def wanted(files, settings=b"{}", **more):
    """Return what a deploy of `files` is to put there."""
    return Wanted(files, build_device.loader_files(), settings, **more)


class Counting(Repl):
    """A prompt that counts the programs it runs: round trips."""

    def __init__(self, *arguments, **more):
        super().__init__(*arguments, **more)
        self.programs = []

    def run(self, program, timeout_s=30.0):
        self.programs.append(program)
        return super().run(program, timeout_s)

    def begin(self, program):
        self.programs.append(program)
        super().begin(program)


def put_on(board, files, settings=b"{}", *, through=lambda line: line, repl=None, **more):
    """Deploy to a virtual board; return (outcome, what was said, programs that ran there)."""
    out = io.StringIO()
    telling = Telling(is_json=False, out=out, err=out)
    with repl or Counting(str(board.path), through=through) as repl:
        outcome = deploy(repl, wanted(files, settings), telling, **more)
    return outcome, out.getvalue(), repl.programs


def keep_set(board):
    """Keep the set that is on trial."""
    with Counting(str(board.path)) as repl:
        repl.enter()
        repl.run(on_board.KEEP)


class CutLine:
    """A serial line that is cut after so many bytes towards the board."""

    def __init__(self, line, count, cut, error=None):
        self._line = line
        self._left = count
        self._cut = cut
        self._error = error or OSError(5, "the cable is pulled")
        self.sent = 0  # bytes that have got through

    def write(self, data):
        data = bytes(data)[: self._left]
        self._left -= len(data)
        self.sent += len(data)
        written = self._line.write(data)
        if not self._left and self._error is not None:
            self._cut()
            error, self._error = self._error, None
            self._left = 10**9
            raise error
        return written

    def __getattr__(self, name):
        return getattr(self._line, name)

    def __setattr__(self, name, value):
        if name.startswith("_") or name == "sent":
            object.__setattr__(self, name, value)
        else:
            setattr(self._line, name, value)
