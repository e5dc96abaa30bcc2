"""`pyv-edge-host queue`: what waits for the sinks, and what they have refused for good.

The agent does it if it runs; else the command opens the store itself.
"""

import argparse
import json

from ..errors import UsageError
from ..exit_status import DONE, NO
from .argument import between, positive
from .asking import add_arguments as add_asking
from .asking import ask, connect, converse
from .output import note, plain, progress
from .place import config_path, load_config

TYPE_CHECKING = False  # as in typing, which takes long to import
if TYPE_CHECKING:
    from typing import Any

LOOK_S = 0.5  # between two looks at what is left
TIMEOUT_MAX_S = 30 * 86_400
ASK_S = 60.0  # a queue can be long


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what can be done with the queue."""
    parts = parser.add_subparsers(dest="what", metavar="WHAT", required=True)
    add_asking(parts.add_parser("stats", help="how much waits, for each sink"))
    shown = parts.add_parser("list", help="queued items: events, gaps, summaries, your own")
    _add_sink(shown)
    _add_limit(shown)
    drain = parts.add_parser("drain", help="wait until everything is delivered")
    drain.add_argument(
        "--timeout",
        type=between(0, TIMEOUT_MAX_S, float),
        default=60.0,
        metavar="SECONDS",
        help="(%(default)s)",
    )
    add_asking(drain)
    purge = parts.add_parser("purge", help="delete queued items; readings stay")
    _add_sink(purge)
    purge.add_argument(
        "--priority", type=between(1, 4, int), help="only these: 1 critical ... 4 logs"
    )
    purge.add_argument("--yes", action="store_true", help="really")
    forget = parts.add_parser("forget", help="let go of a sink that is not configured any more")
    forget.add_argument("sink", help="its name")
    forget.add_argument("--yes", action="store_true", help="really")
    add_asking(forget)
    letters = parts.add_parser("dlq", help="dead letters")
    kinds = letters.add_subparsers(dest="letters", metavar="DO", required=True)
    listed = kinds.add_parser("ls", help="the newest")
    _add_limit(listed)
    add_asking(listed)
    one = kinds.add_parser("show", help="one of them, as it was to be sent")
    one.add_argument("id", type=positive, help="its number")
    add_asking(one)
    for name, text in (("retry", "send again"), ("drop", "delete")):
        some = kinds.add_parser(name, help=text)
        some.add_argument("ids", type=positive, nargs="*", metavar="ID", help="their numbers")
        some.add_argument("--all", action="store_true", help="all of them")
        add_asking(some)


def _add_sink(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--sink", help="of this sink only")
    add_asking(parser)


def _add_limit(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--limit", type=positive, default=100, help="rows (%(default)s)")


def run(args: argparse.Namespace) -> int:
    """Do it; return 1 if something is left, or wasn't there."""
    return _WHAT[f"dlq {args.letters}" if args.what == "dlq" else args.what](args)


def _do(args: argparse.Namespace, do: str, **asked: "Any") -> "dict[str, Any]":
    """Let the agent do it, or do it on its store while it does not run."""
    connection = connect(config_path(args))
    if connection is not None:
        told: dict[str, Any] = converse(connection, {"do": do, **asked}, ASK_S)
        return told
    from ..clock import SystemClock
    from ..idle_site import IdleSite, IdleWriter
    from ..operate import LOOKING, OPERATIONS

    config = load_config(args)
    site = IdleSite(config) if do in LOOKING else IdleWriter(config, SystemClock())
    try:
        return OPERATIONS[do](site, asked)
    finally:
        site.close()


def _print(args: argparse.Namespace, told: "dict[str, Any]", lines: list[str]) -> None:
    print(json.dumps(told) if args.json else "\n".join(lines))


def _stats(args: argparse.Namespace) -> int:
    told = _do(args, "queue_stats")
    lines = [f"{'sink':<16} {'readings':>10} {'items':>10}"]
    for name, sink in told["sinks"].items():
        remark = "" if sink["is_configured"] else "  not configured any more"
        lines.append(
            f"{name:<16} {sink['pending_readings']:>10} {sink['pending_items']:>10}{remark}"
        )
    lines.append(
        f"{told['items']} items take {told['item_bytes']} of {told['item_bytes_max']} bytes;"
        f" {told['items_evicted_total']} evicted, {told['items_expired_total']} expired"
    )
    lines.append(f"{told['dead_letters']} dead letters")
    _print(args, told, lines)
    return DONE


def _list(args: argparse.Namespace) -> int:
    told = _do(args, "queue_list", limit=args.limit, sink=args.sink)
    lines = [
        f"{item['id']:>8} {item['sink']:<10} {item['priority']} {item['retry_count']:>3}"
        f" {_payload(item)}"
        for item in told["items"]
    ]
    _print(args, told, lines or ["nothing is queued"])
    return DONE


def _payload(row: "dict[str, Any]") -> str:
    return "(the policy keeps it back)" if row["payload"] is None else json.dumps(row["payload"])


def _drain(args: argparse.Namespace) -> int:
    import threading

    pause = threading.Event()
    looks = max(1, round(args.timeout / LOOK_S))
    first = left = _left(ask(args, "queue_stats"))
    with progress("delivering", first) as advance:
        while left and looks:
            looks -= 1
            pause.wait(LOOK_S)
            left = _left(ask(args, "queue_stats"))
            advance(max(0, first - left))
    sinks = ask(args, "status")["sinks"].items() if left else ()
    problems = {name: sink["problem"] for name, sink in sinks if sink["problem"]}
    lines = [f"{left} are left" if left else "everything is delivered"]
    lines += [f"{name}: {text}" for name, text in problems.items()]
    _print(args, {"left": left, "problems": problems}, lines)
    return NO if left else DONE


def _left(told: "dict[str, Any]") -> int:
    return sum(
        sink["pending_readings"] + sink["pending_items"]
        for sink in told["sinks"].values()
        if sink["is_configured"]
    )


def _purge(args: argparse.Namespace) -> int:
    if not args.yes:
        raise UsageError("this deletes items that no sink has got; say --yes")
    told = _do(args, "queue_purge", sink=args.sink, priority=args.priority)
    _print(args, told, [f"{told['purged']} items are deleted"])
    return DONE


def _forget(args: argparse.Namespace) -> int:
    if not args.yes:
        raise UsageError(f"sink {args.sink} will never get what waits for it; say --yes")
    told = _do(args, "queue_forget", sink=args.sink)
    waiting = told["pending_readings"]
    _print(args, told, [f"{args.sink} is forgotten; {waiting} readings waited for it"])
    return DONE


def _letters(args: argparse.Namespace) -> int:
    told = _do(args, "letter_list", limit=args.limit)
    lines = [
        f"{one['id']:>6} {one['sink']:<10} {one['origin']:<32} {one['reason']}"
        for one in told["letters"]
    ]
    _print(args, told, lines or ["there are no dead letters"])
    return DONE


def _show_letter(args: argparse.Namespace) -> int:
    found = _do(args, "letter_list", id=args.id)["letters"]
    if not found:
        note(f"there is no dead letter {args.id}")
        return NO
    _print(args, found[0], [f"{key:<10} {plain(value)}" for key, value in found[0].items()])
    return DONE


def _retry(args: argparse.Namespace) -> int:
    return _change_letters(args, "letter_retry", "retried")


def _drop(args: argparse.Namespace) -> int:
    return _change_letters(args, "letter_drop", "dropped")


def _change_letters(args: argparse.Namespace, do: str, key: str) -> int:
    if not (args.ids or args.all):
        raise UsageError("say which: numbers of `queue dlq ls`, or --all")
    told = _do(args, do, ids=args.ids, all=args.all)
    _print(args, told, [f"{told[key]} {key}"])
    return DONE if told[key] else NO


_WHAT = {
    "stats": _stats,
    "list": _list,
    "drain": _drain,
    "purge": _purge,
    "forget": _forget,
    "dlq ls": _letters,
    "dlq show": _show_letter,
    "dlq retry": _retry,
    "dlq drop": _drop,
}
