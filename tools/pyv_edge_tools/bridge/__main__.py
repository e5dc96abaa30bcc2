"""`python -m pyv_edge_tools.bridge` is `pyv-edge-bridge`."""

import sys

from . import main

if __name__ == "__main__":
    sys.exit(main())
