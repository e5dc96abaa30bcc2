"""Reads scripts, one line of JSON each, and writes their traces: worker.py [CORE].

Runs on both interpreters. CORE is the folder that pyv_edge_core comes from,
`shared` unless given. A line that is no script ends it with a traceback.
"""

import gc
import sys

# argv[0] and not __file__, which MicroPython doesn't set for its main script.
_here = sys.argv[0].rsplit("/", 1)[0] if "/" in sys.argv[0] else "."
sys.path[:0] = [_here, sys.argv[1] if len(sys.argv) > 1 else _here + "/../../shared"]

from operations import answer  # noqa: E402


def main():
    while True:
        line = sys.stdin.readline()
        if not line:
            return
        gc.collect()  # so that a script's heap doesn't depend on the one before
        print(answer(line))


main()
