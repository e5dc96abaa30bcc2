"""`pyv-edge-host reload`: let the running agent read its configuration again."""

import argparse
import json

from ..exit_status import DONE
from .asking import add_arguments, ask

__all__ = ["add_arguments", "run"]


def run(args: argparse.Namespace) -> int:
    """Reload and tell what has changed."""
    told = ask(args, "reload")
    if args.json:
        print(json.dumps(told))
        return DONE
    print("\n".join(told["changed"]) if told["changed"] else "the configuration is as it was")
    if told["needs_restart"]:
        print(f"from the next start on: {', '.join(told['needs_restart'])}")
    return DONE
