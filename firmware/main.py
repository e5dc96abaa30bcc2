"""Start the node: the set of files that is in force, or the one behind it. See slots.py.

A board runs this after boot.py. It is never started from boot.py, because a
soft reset in the raw REPL (what mpremote does) runs that one.
"""

import gc

# Modules that are compiled here would else end up all over the heap, with garbage between
# them, and leave no piece of it that is large enough for the rings. The node sets it back.
if hasattr(gc, "threshold"):  # not under CPython
    gc.threshold(8192)

from slots import Slots, restart

try:
    slots = Slots()
    slots.count_boot()
    while True:
        slots.enter()
        try:
            from pyv_edge_node.start import begin

            break
        except Exception as error:  # top of a thread: whatever a bad set of files raises
            slots.fail(error)
    run = begin(slots)
    del begin, slots, Slots  # the heap has better uses
    run()
except Exception as error:  # top of a thread: nobody may be there to see it
    restart(error)
