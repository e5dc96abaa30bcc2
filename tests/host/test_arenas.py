"""Arenas of the C library: few, unless somebody has said how many."""

import subprocess
import sys

from pyv_edge_agent import arenas

# Each thread takes and holds a piece that is too small for a mapping of its own.
THREADS = """
import ctypes, re, sys, threading
sys.path[:0] = {path!r}
from pyv_edge_agent import arenas
if {is_few}:
    assert arenas.keep_few({{}})
library = ctypes.CDLL(None)
library.malloc.restype = ctypes.c_void_p
begun, go = threading.Barrier(9), threading.Event()
def hold():
    for _ in range(100):
        library.malloc(1000)
    begun.wait()
    go.wait()
for _ in range(8):
    threading.Thread(target=hold, daemon=True).start()
begun.wait()
library.malloc_info.argtypes = [ctypes.c_int, ctypes.c_void_p]
library.open_memstream.restype = ctypes.c_void_p
text, size = ctypes.c_char_p(), ctypes.c_size_t()
stream = library.open_memstream(ctypes.byref(text), ctypes.byref(size))
library.malloc_info(0, stream)
library.fclose.argtypes = [ctypes.c_void_p]
library.fclose(stream)
print(len(re.findall(rb"<heap nr=", text.value)))
"""


def count_arenas(*, is_few):
    code = THREADS.format(path=sys.path, is_few=is_few)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return int(done.stdout)


def test_threads_share_two_arenas():
    assert count_arenas(is_few=True) <= arenas.COUNT < count_arenas(is_few=False)


def test_what_somebody_has_set_holds():
    assert not arenas.keep_few({"MALLOC_ARENA_MAX": "8"})
