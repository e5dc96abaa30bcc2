"""Prints what a node leaves of the heap, and which modules of the core it imports.

Runs on MicroPython, in a folder that holds the packages as bytecode.
"""

import gc
import json
import os
import sys

import pyv_edge_node.parts
import pyv_edge_node.sensors
import pyv_edge_node.start

pyv_edge_node.start.forget()  # as a node does once it runs

_CORE = "pyv_edge_core"


# What a board loads when its settings have rules and a privacy policy. Kinds of conditions that
# need windows, and pseudonyms, come on top for those that use them.
_STAGES = ("pyv_edge_node.stages", "pyv_edge_core.privacy", "pyv_edge_core.alert")


def _free():
    gc.collect()
    return gc.mem_free()


def _core():
    return sorted([name for name in sys.modules if name.split(".")[0] == _CORE])


def main():
    """Measure three boards: plain, with rules and policy, and with all of the core."""
    print(json.dumps({"heap_free_plain": _free(), "plain_modules": _core()}))
    for name in _STAGES:
        __import__(name)
    name = None  # garbage like the rest
    sys.modules.pop("pyv_edge_node.stages")
    delattr(sys.modules["pyv_edge_node"], "stages")
    sys.modules.pop("pyv_edge_node.settings")
    delattr(sys.modules["pyv_edge_node"], "settings")
    print(json.dumps({"heap_free": _free(), "board_modules": _core()}))
    for file in sorted(os.listdir(_CORE)):
        name = file.split(".")[0]
        if name != "__init__":
            __import__(_CORE + "." + name)
    name = file = None
    print(json.dumps({"heap_free_all": _free()}))


main()
