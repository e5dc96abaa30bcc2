"""`pyv-edge-host run`: the agent in the foreground, until SIGINT or SIGTERM."""

import argparse
import signal

from .place import add_config, config_path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_config(parser)


def run(args: argparse.Namespace) -> int:
    """Run the agent; return the exit status."""
    # Importing takes its time. What is read behind it is the configuration of then.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    from ..main import run_agent

    return run_agent(config_path(args))
