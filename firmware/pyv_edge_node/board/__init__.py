"""The board underneath: its identity, its ticks, its link streams, its pins, its reset.

The only modules of the node that may read a clock, import `machine` or ask for
randomness. One class per kind of board, in a file of its own; `open_board`
chooses. Every class has the members of `unix.UnixBoard`.
"""

import os
import sys

from pyv_edge_core._compat import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any


def open_board() -> "Any":
    """Return the board this runs on. Raises OSError for a port that has no class here."""
    if sys.platform in ("linux", "darwin"):
        from .unix import UnixBoard

        return UnixBoard()
    if sys.platform in ("rp2", "esp32"):
        import machine

        from .machine_board import MachineBoard

        if sys.platform == "rp2":
            from .rp2 import Rp2 as Chip
        else:
            from .esp32 import Esp32 as Chip
        return MachineBoard(machine, Chip(machine, os.uname().machine))
    raise OSError("no board class for sys.platform %r yet" % sys.platform)
