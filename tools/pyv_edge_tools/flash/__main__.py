"""`python -m pyv_edge_tools.flash` is `pyv-edge-flash`."""

import sys

from . import main

sys.exit(main())
