"""`pyv-edge-host support-bundle`: what helps to find a fault in one file, without secrets."""

import argparse
import json
from typing import Any

from ..exit_status import DONE
from .place import add_config

MODE = 0o600


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_config(parser)
    parser.add_argument(
        "--output", metavar="FILE", help="what is written (pyv-edge-support-TIME.tar.gz, here)"
    )
    parser.add_argument(
        "--offline", action="store_true", help="ask no name server and no other computer"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Write it, whole or not at all. Raises UsageError, OSError, StoreError."""
    from ..clock import SystemClock
    from ..disk import writing_whole
    from .bundle import Contents, write_bundle
    from .destination import destination
    from .doctor import examine, learn
    from .moment import stamp

    clock = SystemClock()
    now_ms = clock.utc_ms()
    name = f"pyv-edge-support-{stamp(now_ms)}"
    path = destination(
        args, args.output or f"{name}.tar.gz", remedy="name another file by --output"
    )
    case = learn(args)
    findings = [one for some in examine(case) for one in some]
    contents = Contents(case, findings, lambda: _queue(args), clock)
    with writing_whole(path, MODE) as file:
        members = write_bundle(file, contents, name, now_ms // 1000)
    told = {"path": str(path), "bytes": path.stat().st_size, "members": members}
    print(json.dumps(told) if args.json else f"{path}: {told['bytes']} bytes; see its MANIFEST")
    return DONE


def _queue(args: argparse.Namespace) -> Any:
    """Return what waits for each sink. Raises AgentAbsentError if no agent runs."""
    from .asking import ask

    return ask(args, "queue_stats")
