"""Entry point of `pyv-edge --config FILE` and `python -m pyv_edge_agent`; home of EdgeAgent."""

import argparse
import contextlib
import logging
import os
import select
import signal
import sys
from types import FrameType

from . import __version__, exit_status
from .agent import EdgeAgent
from .errors import UsageError
from .health import _HealthHandler

__all__ = ["EdgeAgent", "_HealthHandler", "main", "run_agent"]

logger = logging.getLogger(__name__)


def _signal_handler(agent: EdgeAgent, signum: int, frame: FrameType | None) -> None:
    """Log the signal, stop the agent, end the process with status 0."""
    logger.info("received %s, stopping", signal.Signals(signum).name)
    agent.stop()
    sys.exit(0)


def run_agent(config_path: str) -> int:
    """Run an agent in the foreground until a signal stops it; return the exit status.

    Raises UsageError, and what `EdgeAgent.start` does.
    """
    if not config_path:
        raise UsageError("--config: is empty; name a TOML or JSON file")
    agent = EdgeAgent(config_path=config_path)
    # Python may run a handler in the middle of anything, with the lock of the log held, which
    # the threads that are to end may be waiting for. So it only leaves a note for this thread.
    arrived, note = os.pipe()
    os.set_blocking(note, False)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda s, f: _note(note, s))
    agent.start()
    while agent.is_running:
        if select.select([arrived], [], [], 1.0)[0]:
            _signal_handler(agent, os.read(arrived, 1)[0], None)
    return exit_status.DONE


def _note(descriptor: int, signum: int) -> None:
    with contextlib.suppress(BlockingIOError):  # there are notes enough
        os.write(descriptor, bytes((signum,)))


def main(argv: list[str] | None = None) -> int:
    """Parse the command line and run an agent."""
    parser = argparse.ArgumentParser(prog="pyv-edge", description="Run the edge agent.")
    parser.add_argument(
        "--config", default="edge_config.toml", metavar="FILE", help="TOML or JSON (%(default)s)"
    )
    parser.add_argument("--version", action="version", version=__version__)
    try:
        return run_agent(parser.parse_args(argv).config)
    except exit_status.TOLD as error:
        status, lines = exit_status.status_of(error)
        print("\n".join(lines), file=sys.stderr)
        return status
