"""Prints what a node leaves of the heap, and which modules of the core it imports.

Runs on MicroPython, in a folder that holds the packages as bytecode.
"""

import gc
import json
import os
import sys

import pyv_edge_node.app  # noqa: F401 - what it takes is measured

_CORE = "pyv_edge_core"


def main():
    """Import the rest of the core, so that what a user's program may add is counted too."""
    board = sorted([name for name in sys.modules if name.split(".")[0] == _CORE])
    print(json.dumps({"board_modules": board}))
    for file in sorted(os.listdir(_CORE)):
        name = file.split(".")[0]
        if name != "__init__":
            __import__(_CORE + "." + name)
    board = name = file = None  # garbage like the rest
    gc.collect()
    print(json.dumps({"heap_free": gc.mem_free()}))


main()
