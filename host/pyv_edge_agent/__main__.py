"""`python -m pyv_edge_agent --config FILE`, and `pyv-edge`."""

import signal
import sys


def main() -> int:
    """Run an agent; return the exit status."""
    # Importing takes its time. What is read behind it is the configuration of then.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    from .main import main as run

    return run()


if __name__ == "__main__":
    sys.exit(main())
