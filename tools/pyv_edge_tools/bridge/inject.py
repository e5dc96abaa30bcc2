"""`pyv-edge-bridge inject`: a relay that damages what passes, by seed."""

import argparse
import secrets

from . import line
from .chunk import SPEAKERS, TO_BOARD, TO_HOST
from .errors import UsageError
from .fault import DIRTY, KINDS, RATE_MIN, Faults, Plan
from .options import add_end, add_limits, add_port, between, count
from .output import Watcher, carried_line

_DIRECTIONS = {"host": (TO_HOST,), "board": (TO_BOARD,), "both": (TO_HOST, TO_BOARD)}


def _rate(text: str) -> float:
    return between(text, RATE_MIN, 1, is_zero_allowed=True)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add_port(parser)
    add_end(parser)
    add_limits(parser)
    group = parser.add_argument_group("faults: how likely each is per byte, 0 to 1")
    usual = " ".join(f"--{name} {rate:g}" for name, rate in DIRTY.items())
    group.description = f"without any of them: {usual}"
    for name, text in KINDS.items():
        group.add_argument(f"--{name}", type=_rate, metavar="RATE", help=text)
    group.add_argument("--cut-ms", type=count, default=Plan.cut_ms, help="(%(default)s)")
    group.add_argument("--delay-ms", type=count, default=Plan.delay_ms, help="(%(default)s)")
    group.add_argument("--seed", type=int, help="repeat the faults of another run")
    group.add_argument(
        "--towards", choices=list(_DIRECTIONS), default="both", help="who gets it (%(default)s)"
    )


def run(args: argparse.Namespace) -> int:
    """Relay with faults until it is to end; return 1 if lines of the output are missing."""
    if args.link is None and args.tcp is None:
        raise UsageError("inject: --link PATH or --tcp PORT is missing: what is to be opened?")
    seed = secrets.randbits(32) if args.seed is None else args.seed
    given = {name: getattr(args, name) for name in KINDS if getattr(args, name) is not None}
    plan = Plan(seed, given or dict(DIRTY), args.cut_ms, args.delay_ms)
    clean = Plan(seed, {})
    struck = _DIRECTIONS[args.towards]
    faults = (
        Faults(plan if TO_HOST in struck else clean, TO_HOST),
        Faults(plan if TO_BOARD in struck else clean, TO_BOARD),
    )
    output = line.make_output(args)
    counted = line.run(args, output, lambda: [Watcher(output)], faults=faults)
    told = {
        "event": "summary",
        "seed": seed,
        "faults": {
            f"from_{SPEAKERS[side]}": {
                **{f"{name}_total": times for name, times in one.strikes.items()},
                "changed_bytes_total": one.changed_bytes_total,
                "overflow_bytes_total": one.overflow_bytes_total,
            }
            for side, one in enumerate(faults)
        },
        "carried": counted,
    }
    lines = [f"seed {seed}"]
    for side, one in enumerate(faults):
        times = ", ".join(f"{count} {name}" for name, count in one.strikes.items() if count)
        lines.append(
            f"from the {SPEAKERS[side]}: {times or 'no faults'};"
            f" {one.changed_bytes_total} bytes changed"
        )
    output.conclude(told, "\n".join([*lines, carried_line(counted)]))
    return output.status
