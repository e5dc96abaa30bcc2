"""`pyv-edge-host tail`: readings and events as an agent stores them, until Ctrl-C."""

import argparse
from typing import TYPE_CHECKING

from .argument import between
from .filters import add_channels, add_quality
from .place import add_store

if TYPE_CHECKING:
    from .form import Payload

POLL_S = 0.5  # between two looks; a commit a second is what there is to see


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_store(parser)
    add_channels(parser)
    add_quality(parser)
    parser.add_argument(
        *("-n", "--lines"),
        type=between(0, 1_000_000, int),
        default=10,
        metavar="N",
        help="of the past that come first (%(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="a JSON object a line")


def run(args: argparse.Namespace) -> int:
    """Follow the store for ever. Ends with KeyboardInterrupt only, or an error."""
    import threading

    from .follow import Follower

    show = _show_json if args.json else _Lines().show
    pause = threading.Event()  # never set
    follower = Follower(args)
    try:
        show(follower.begin(args.lines))
        while True:
            for payloads in follower.step():
                show(payloads)
            pause.wait(POLL_S)
    finally:
        follower.close()


def _show_json(payloads: "list[Payload]") -> None:
    from .form import ndjson_text

    print("".join(ndjson_text([payloads])), end="", flush=True)


class _Lines:
    """A line for each reading and each event, the events in colour."""

    def __init__(self) -> None:
        from ..view import READINGS
        from .form import Table

        self._table = Table(READINGS)

    def show(self, payloads: "list[Payload]") -> None:
        """Print payloads in their order."""
        from .form import event_line

        for payload in payloads:
            is_event = "rule_name" in payload
            print(event_line(payload) if is_event else self._table.rows([payload])[0])
        print(end="", flush=True)
