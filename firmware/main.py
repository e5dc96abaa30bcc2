"""Start the node. Named so that a board runs it after boot.py; never started from boot.py,
because a soft reset in the raw REPL (what mpremote does) runs that one."""

import gc
import sys

# Modules that are compiled here would else end up all over the heap, with garbage between
# them, and leave no piece of it that is large enough for the rings. `start` sets it back.
if hasattr(gc, "threshold"):  # not under CPython
    gc.threshold(8192)

from pyv_edge_node.start import main

sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "device.json"))
