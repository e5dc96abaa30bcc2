"""`pyv-edge-host rules test`: what rules would have made of what is stored."""

import argparse
from typing import TYPE_CHECKING, Any

from ..exit_status import DONE
from .argument import positive
from .filters import add_channels
from .place import add_store

if TYPE_CHECKING:
    from ..replay import Replay
    from ..view.store_view import View
    from .form import Payload


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    whats = parser.add_subparsers(dest="what", metavar="WHAT", required=True)
    text = "replay stored readings through rules; nothing is written"
    test = whats.add_parser("test", help=text, description=text)
    test.add_argument(
        "--replay",
        nargs=2,
        required=True,
        metavar=("FROM", "TO"),
        help="ISO-8601, UTC unless it says otherwise, or how long ago: 7d 0s",
    )
    test.add_argument(
        "--rules", metavar="FILE", help="with the [[rules]] to try (those of the configuration)"
    )
    test.add_argument(
        "--limit", type=positive, default=100, metavar="N", help="events shown (%(default)s)"
    )
    add_store(test)
    add_channels(test)
    test.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Replay; return the exit status."""
    import json
    from collections import deque
    from contextlib import closing

    from ..clock import SystemClock
    from ..errors import UsageError
    from ..replay import Replay
    from .moment import parse_moment
    from .output import progress
    from .selection import open_view

    now_ms = SystemClock().utc_ms()
    start_ms, end_ms = (parse_moment("--replay", text, now_ms) for text in args.replay)
    if start_ms >= end_ms:
        raise UsageError("--replay: TO is not later than FROM")
    with closing(open_view(args)) as view, progress("replaying", 100) as advance:
        replay = Replay(_rules(args), view.policy, start_ms)
        # The last of them: what is asked is mostly how it ended.
        events: deque[Payload] = deque(maxlen=args.limit)
        told = _Told(replay, view, args, (start_ms, end_ms))
        for payload in told.play(advance):
            events.append(payload)
    found = told.to_dict(list(events))
    if args.json:
        print(json.dumps(found))
    else:
        _show(found, told)
    return DONE


def _rules(args: argparse.Namespace) -> Any:
    from pyv_edge_core.rule import read_rules

    from ..config import Config
    from .place import find_config

    path = args.rules or find_config(args)
    return read_rules([] if path is None else Config.from_file(path).get("rules"))


class _Told:
    """A replay as it may be told."""

    def __init__(
        self, replay: "Replay", view: "View", args: argparse.Namespace, times: tuple[int, int]
    ) -> None:
        from .selection import read_names

        self.withheld_channels = 0
        self.events_total = 0
        self.replay = replay
        self.is_local = args.local
        self._view = view
        self._times = times
        self._names = read_names(args)

    def play(self, advance: Any) -> Any:
        """Yield the events that would have been. Raises StoreError."""
        from ..store import extract

        view, replay = self._view, self.replay
        known, kept = view.channels(self._names)
        self.withheld_channels = len(kept)
        channels = {one.id: one for one in known}
        total = extract.count_ids(view.reader, *self._times)
        wanted = view.wanted(known, None, self._times)
        for passed, rows in extract.readings(view.reader, wanted):
            for row in rows:
                channel = channels[row[1]]
                yield from self._payloads(channels, replay.add(channel, view.judge(channel), row))
            advance(100 * passed // max(total, 1))
        yield from self._payloads(channels, replay.end(self._times[1]))
        for rows in extract.events(view.reader, *self._times):
            for row in rows:
                _, channel_id, rule, _, state = row[:5]
                is_ours = row[9] is None and channel_id in channels
                if is_ours and state == "firing" and rule in replay.firings:
                    replay.firings[rule].before += 1

    def _payloads(self, channels: Any, rows: Any) -> Any:
        from ..view.extraction import event_payload

        for row in rows:
            payload = event_payload(self._view, channels[row[1]], row)
            if payload is not None:
                self.events_total += 1
                yield payload

    def to_dict(self, events: "list[Payload]") -> dict[str, Any]:
        """Return all of it as JSON types."""
        from .moment import show_ms

        replay = self.replay
        return {
            "from": show_ms(self._times[0]),
            "to": show_ms(self._times[1]),
            "readings": replay.readings_total,
            "channels_withheld": self.withheld_channels,
            "readings_under_pseudonyms": replay.unknown_total,
            "rules": [{"rule": name, **vars(firings)} for name, firings in replay.firings.items()],
            "events_total": self.events_total,
            "events": events,
        }


def _show(found: dict[str, Any], told: _Told) -> None:
    from ..sizing import show_time
    from .form import event_line
    from .output import note

    for payload in found["events"]:
        print(event_line(payload))
    if found["events"]:
        print()
    print(f"{'rule':<32} {'would fire':>10} {'did fire':>9}  firing for")
    for one in found["rules"]:
        lasted = show_time(one["firing_ms"] / 1000) if one["firing_ms"] else "-"
        print(f"{one['rule']:<32} {one['fired']:>10} {one['before']:>9}  {lasted}")
    print(f"{found['readings']} readings from {found['from']} to {found['to']}")
    hidden = found["events_total"] - len(found["events"])
    if hidden:
        note(f"{hidden} earlier events are not shown; --limit shows more")
    if told.withheld_channels:
        remedy = "" if told.is_local else "; --local tries those that may be known here"
        note(f"{told.withheld_channels} channels are withheld by the privacy policy{remedy}")
    if told.replay.unknown_total:
        note(f"{told.replay.unknown_total} readings have pseudonyms, which no rule is about")
