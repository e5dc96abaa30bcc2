"""`python -m pyv_edge_agent --config FILE`."""

import sys

from .main import main

sys.exit(main())
