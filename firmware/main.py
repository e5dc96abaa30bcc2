"""Start the node. Named so that a board runs it after boot.py; never started from boot.py,
because a soft reset in the raw REPL (what mpremote does) runs that one."""

import sys

from pyv_edge_node.app import main

sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "device.json"))
