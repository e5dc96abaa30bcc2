"""`pyv-edge-host run`: the agent in the foreground, until SIGINT or SIGTERM."""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--config", required=True, metavar="FILE", help="TOML or JSON")


def run(args: argparse.Namespace) -> int:
    """Run the agent; return the exit status."""
    from ..main import run_agent

    return run_agent(args.config)
