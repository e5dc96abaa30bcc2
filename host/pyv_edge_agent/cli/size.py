"""`pyv-edge-host size`: what readings take of disk, card and buffers, and how long those last."""

import argparse
from typing import TYPE_CHECKING, Any

from ..exit_status import DONE
from .argument import between
from .place import add_store, find_config

if TYPE_CHECKING:
    from ..config import Config

RING = 2048  # readings, a board's telemetry_capacity unless it says otherwise
_MEGABYTE = 1_048_576


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_store(parser)
    options: tuple[tuple[str, type[float], float, float, Any, str, str], ...] = (
        ("--rate", float, 1e-6, 1e6, None, "HZ", "readings a second in all (as recorded)"),
        ("--channels", int, 1, 1e6, None, "N", "that they are of (as recorded, or 16)"),
        ("--boards", int, 1, 1e4, None, "N", "that they come from (as recorded, or 1)"),
        ("--interval-ms", int, 1, 1e6, None, "MS", "longest wait for a commit (as configured)"),
        ("--commit-max", int, 1, 1e6, None, "N", "readings of a commit (as configured)"),
        ("--room-mb", float, 1, 1e9, None, "MB", "the store may take (as configured)"),
        ("--days", float, 1e-3, 1e5, None, "DAYS", "readings are kept (as configured)"),
        ("--card-gb", float, 0.1, 1e6, 32.0, "GB", "of the card (%(default)g)"),
        ("--cycles", int, 1, 1e7, 1000, "N", "that the card bears (%(default)s)"),
        (
            *("--amplification", float, 1, 1000, 20.0, "TIMES"),
            "as much the card itself writes (%(default)g)",
        ),
        ("--ring", int, 16, 65536, RING, "N", "readings that a board holds (%(default)s)"),
        ("--spill-kb", int, 0, 1024, 0, "KB", "of a board's flash for more of them (%(default)s)"),
        (
            *("--pages-per-day", int, 1, 20_000, 1000, "N"),
            "pages of it that a board may write (%(default)s)",
        ),
        ("--flash-kb", int, 64, 1e6, 848, "KB", "of its file system, the free part (%(default)s)"),
        ("--flash-cycles", int, 1, 1e7, 100_000, "N", "that its flash bears (%(default)s)"),
    )
    for name, kind, low, high, default, metavar, text in options:
        parser.add_argument(
            name, type=between(low, high, kind), default=default, metavar=metavar, help=text
        )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Print the sizes; return the exit status."""
    import json

    from ..config import Config

    path = find_config(args)
    config = Config() if path is None else Config.from_file(path)
    found = sizes(args, config, _recorded(args, None if path is None else config))
    print(json.dumps(found) if args.json else "\n".join(lines(found)))
    return DONE


def _recorded(args: argparse.Namespace, config: "Config | None") -> Any:
    """Return what a store has recorded of late, None if there is none to ask."""
    from contextlib import closing
    from pathlib import Path

    from ..store.extract import recorded
    from ..store.reader import StoreReader

    place = Path(args.db) if args.db else None if config is None else config.store_path
    if place is None or (not args.db and not place.exists()):
        return None
    with closing(StoreReader(place)) as reader:
        return recorded(reader)


def sizes(args: argparse.Namespace, config: "Config", recorded: Any) -> dict[str, Any]:
    """Return all that `size` tells. Raises UsageError if nobody says how many readings."""
    from .. import sizing
    from ..errors import UsageError

    def first(*values: Any) -> Any:
        return next((one for one in values if one is not None), None)

    rate_hz = first(args.rate, recorded and recorded.rate_hz)
    if rate_hz is None:
        raise UsageError("--rate: how many readings a second? No store has recorded any so far")
    storage = config.get("storage")
    load = sizing.Load(
        rate_hz,
        first(args.channels, recorded and recorded.channels, 16),
        first(args.interval_ms, storage["commit_interval_ms"]),
        first(args.commit_max, storage["commit_max"]),
    )
    boards = first(args.boards, recorded and recorded.devices, 1)
    room_mb = first(args.room_mb, storage["max_mb"] or None)
    # Without a cap it is what the card has, but for what is to stay free.
    room_size = (
        args.card_gb * sizing.GIGABYTE - storage["min_free_mb"] * _MEGABYTE
        if room_mb is None
        else room_mb * _MEGABYTE
    )
    room_days = sizing.days_of_room(load, max(0.0, room_size) * storage["high_water"])
    keep_days = first(args.days, config.get("policies", "keep_days") or None)
    kept_days = room_days if keep_days is None else min(keep_days, room_days)
    return {
        "readings_per_s": rate_hz,
        "channels": load.channels,
        "commits_per_s": load.commits_per_s,
        "written_bytes_per_reading": load.written_per_reading,
        "written_bytes_per_day": load.written_per_day,
        "file_bytes_per_day": load.file_per_day,
        "file_bytes_per_year": load.file_per_day * sizing.YEAR_DAYS,
        "file_bytes_kept": load.file_per_day * kept_days,
        "kept_days": kept_days,
        "room_bytes": max(0.0, room_size),
        "room_days": room_days,
        "card_gb": args.card_gb,
        "cycles": args.cycles,
        "amplification": args.amplification,
        "card_years": sizing.card_years(load, args.card_gb, args.cycles, args.amplification),
        "ring_readings": args.ring,
        "ring_s": sizing.ring_s(args.ring, rate_hz / boards),
        "boards": boards,
        **_spill(args, rate_hz / boards),
    }


def _spill(args: argparse.Namespace, rate_hz: float) -> dict[str, Any]:
    """Return what a board's ring and its flash hold together, and how long the flash lasts."""
    from .. import sizing

    if not args.spill_kb:
        return {}
    readings = sizing.spill_readings(args.spill_kb)
    return {
        "spill_kb": args.spill_kb,
        "spill_readings": readings,
        "spill_s": sizing.ring_s(args.ring + readings, rate_hz),
        "pages_per_day": args.pages_per_day,
        "page_hours": sizing.page_hours(args.pages_per_day, rate_hz),
        "flash_kb": args.flash_kb,
        "flash_cycles": args.flash_cycles,
        "flash_years": sizing.flash_years(args.flash_kb, args.flash_cycles, args.pages_per_day),
    }


def lines(found: dict[str, Any]) -> list[str]:
    """Return what `sizes` has found as lines for people."""
    from ..sizing import DAY_S, YEAR_DAYS, show_size, show_time

    shown = {name: show_size(value) for name, value in found.items() if "_bytes" in name}
    kept, room, card = (
        show_time(found[name] * days * DAY_S)
        for name, days in (("kept_days", 1), ("room_days", 1), ("card_years", YEAR_DAYS))
    )
    form = {**found, **shown, "kept": kept, "room": room, "card": card}
    form["ring"] = show_time(found["ring_s"])
    told: tuple[str, ...] = _LINES
    if "spill_kb" in found:
        told += _SPILL_LINES
        form["spill"] = show_time(found["spill_s"])
        form["flash"] = show_time(found["flash_years"] * YEAR_DAYS * DAY_S)
    return [line.format(**form) for line in told]


_LINES = (
    "{readings_per_s:.3g} readings/s, {channels} channels, {commits_per_s:.3g} commits/s",
    "in the file    {file_bytes_per_day} a day, {file_bytes_per_year} a year",
    "kept           {file_bytes_kept} for {kept}",
    "to the card    {written_bytes_per_day} a day, {written_bytes_per_reading} for a reading",
    "card lasts     {card}: {card_gb:g} GB, {cycles} cycles, {amplification:g} times as much",
    "without cloud  the store has room for {room}: {room_bytes}",
    "without agent  a board's ring of {ring_readings} holds {ring}, if there are {boards}",
)
_SPILL_LINES = (
    "with a flash   a board holds {spill}, resets included: {spill_readings} more, {spill_kb} kB",
    "pages          at most {pages_per_day} a day: {page_hours:.2g} hours without agent in each",
    "flash lasts    {flash} if there never is one: {flash_kb} kB, {flash_cycles} cycles",
)
