"""`python -m pyv_edge_agent.cli`: the same as `pyv-edge-host`."""

import sys

from . import main

sys.exit(main())
