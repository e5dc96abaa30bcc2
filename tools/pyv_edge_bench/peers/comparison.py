"""All peers side by side: in each round one after the other, so that a slow minute hits all.

    peer.NAME.readings_per_cpu_s    stored and forwarded, over the processor time it took
    peer.NAME.readings_per_s        the same over the time on the wall
    peer.NAME.cpu_s_per_1000        processor time for a thousand readings
    peer.NAME.rss_mb                the most memory it had meanwhile
    peer.NAME.rss_live_mb           the most it had with 375 readings a second, after a restart
    peer.NAME.disk_bytes_per_reading
    peer.NAME.missing               that did not arrive though there was no fault
    peer.NAME.unstored              that are not in its database then
    peer.NAME.lost_kill             of 4,000 readings in 11 s, with a SIGKILL in their middle
    peer.NAME.lost_outage           of 9,000 in 24 s, of which the upstream is away for 20
    peer.NAME.repeated              in both, that arrive again
    peer.NAME.doubled               of those, what a receiver can't know to be the same

Ratios are of the same round: `peer.ours_mqtt.cpu_over_tb`, ours over theirs. Outages are tried
with several peers at a time: they wait, and none is short of a processor. Faults come at a pace
that all can follow: what is lost is then lost to the fault, and not what had to wait before it.
"""

import sqlite3
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import TypeVar

from ..bytecode import ROOT
from ..figure import Measured
from . import naive
from .nodered import NodeRed
from .ours import Ours
from .peer import Peer
from .source import ROOM, Board, Lines, Sensors, Source
from .thingsboard import ThingsBoardGateway
from .trial import Fate, Throughput, Trial, killed, throughput, without_upstream

ROUNDS = 5
KILL_COUNT, KILL_PER_S, KILL_AWAY_S = 4000, 375.0, 1.0
AT_A_TIME = 4  # outages
OUTAGE_COUNT, OUTAGE_PER_S, OUTAGE_AT_S, OUTAGE_S = 9000, 375.0, 2.0, 20.0

OURS = ("ours_mqtt", "ours_mqtt_each", "ours_serial")
# Readings that wait. From a board they are taken in no time; for programs of a page fewer do.
COUNT, BOARD_COUNT, PAGE_COUNT = 20_000, 60_000, 3000
# For those and for what is there before them: a board of the bench has it, a real one has not.
SPARE = 4000

Outcome = TypeVar("Outcome", Throughput, Fate)


@dataclass(frozen=True)
class Entry:
    """A peer, where its readings come from, and how many wait for it."""

    peer: Peer
    source: Callable[[Path, int], Source]
    count: int


def entries() -> list[Entry]:
    """Return all that are compared."""
    return [
        Entry(Ours("ours_mqtt"), Sensors, COUNT),
        Entry(Ours("ours_mqtt_each"), Sensors, COUNT),
        Entry(Ours("ours_serial"), Board, BOARD_COUNT),
        Entry(NodeRed(), Sensors, COUNT),
        Entry(NodeRed(has_gate=True), Sensors, COUNT),
        Entry(ThingsBoardGateway(), Sensors, COUNT),
        Entry(naive.polling(), Sensors, PAGE_COUNT),
        Entry(naive.tutorial(), Lines, PAGE_COUNT),
    ]


@dataclass
class Rounds:
    """What the rounds have given of one peer."""

    throughput: list[Throughput] = field(default_factory=list)
    kills: list[Fate] = field(default_factory=list)
    outages: list[Fate] = field(default_factory=list)
    problem: str = ""  # why there are no more of them


def in_folder(entry: Entry, run: Callable[[Trial], Outcome], room: int = ROOM) -> Outcome:
    """Run a trial in a folder of its own, on the disk that holds build/: /tmp may be memory.

    If a board is the source it has room for so many readings.
    """
    place = ROOT / "build"
    place.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="pyv-peer-", dir=place) as folder:
        trial = Trial(entry.peer, entry.source, Path(folder), room=room)
        try:
            return run(trial)
        finally:
            trial.close()


def kill_at_s(number: int) -> float:
    """Return when a round kills: between a quarter and three quarters of the readings."""
    whole_s = KILL_COUNT / KILL_PER_S
    return whole_s * (0.25 + 0.5 * (number % ROUNDS + 0.5) / ROUNDS)


def compare(those: list[Entry], rounds: int) -> dict[str, Rounds]:
    """Return what `rounds` rounds give of each; one that fails is left out of what follows."""
    found = {entry.peer.name: Rounds() for entry in those}
    for number in range(rounds):
        for entry in those:
            _try(found[entry.peer.name], entry, number, _throughput)
    for number in range(rounds):
        for entry in those:
            _try(found[entry.peer.name], entry, number, _kill)
    for number in range(rounds):
        with ThreadPoolExecutor(AT_A_TIME) as pool:
            tries = [
                pool.submit(_try, found[entry.peer.name], entry, number, _outage)
                for entry in those
            ]
        for one in tries:
            one.result()
    return found


def _try(
    mine: Rounds, entry: Entry, number: int, run: Callable[[Rounds, Entry, int], None]
) -> None:
    if mine.problem:
        return
    what = run.__name__.strip("_")
    print(f"{entry.peer.name}: {what}, round {number + 1}", file=sys.stderr, flush=True)
    try:
        run(mine, entry, number)
    except (OSError, RuntimeError, ValueError, ArithmeticError, sqlite3.Error) as error:
        mine.problem = f"{entry.peer.name}: {error or type(error).__name__}"


def _throughput(mine: Rounds, entry: Entry, number: int) -> None:
    del number
    run = partial(throughput, count=entry.count)
    mine.throughput.append(in_folder(entry, run, entry.count + SPARE))


def _kill(mine: Rounds, entry: Entry, number: int) -> None:
    run = partial(
        killed,
        count=KILL_COUNT,
        per_s=KILL_PER_S,
        at_s=kill_at_s(number),
        away_s=KILL_AWAY_S,
    )
    mine.kills.append(in_folder(entry, run))


def _outage(mine: Rounds, entry: Entry, number: int) -> None:
    del number
    run = partial(
        without_upstream,
        count=OUTAGE_COUNT,
        per_s=OUTAGE_PER_S,
        at_s=OUTAGE_AT_S,
        away_s=OUTAGE_S,
    )
    mine.outages.append(in_folder(entry, run))


def figures(found: dict[str, Rounds]) -> list[Measured]:
    """Return the figures of all peers, and the ratios of ours over theirs."""
    made: list[Measured] = []
    for name, mine in found.items():
        values = _values(mine)
        made += [Measured(f"peer.{name}.{key}", unit, those) for key, unit, those in values]
    for ours in OURS:
        for name in found:
            if ours in found and name not in OURS:
                made += _ratios(ours, _by_key(found[ours]), name, _by_key(found[name]))
    return made


def _values(mine: Rounds) -> list[tuple[str, str, list[float]]]:
    runs = mine.throughput
    fates = list(zip(mine.kills, mine.outages, strict=True))
    return [
        ("readings_per_cpu_s", "1/cpu s", [one.arrived / one.cpu_s for one in runs]),
        ("readings_per_s", "1/s", [one.per_s for one in runs]),
        ("cpu_s_per_1000", "cpu s", [one.cpu_s / one.arrived * 1000 for one in runs]),
        ("rss_mb", "MB", [one.peak_mb for one in runs]),
        ("rss_live_mb", "MB", [one.peak_mb for one in mine.kills]),
        ("disk_bytes_per_reading", "bytes", [one.written_bytes / one.arrived for one in runs]),
        ("missing", "readings", [one.count - one.arrived for one in runs]),
        ("unstored", "readings", [one.unstored for one in runs]),
        ("lost_kill", "readings", [one.lost for one in mine.kills]),
        ("lost_outage", "readings", [one.lost for one in mine.outages]),
        ("doubled", "readings", [kill.doubled + outage.doubled for kill, outage in fates]),
        ("repeated", "readings", [kill.repeated + outage.repeated for kill, outage in fates]),
    ]


def _by_key(mine: Rounds) -> dict[str, list[float]]:
    return {key: values for key, _, values in _values(mine)}


def _ratios(
    ours: str, mine: dict[str, list[float]], name: str, theirs: dict[str, list[float]]
) -> list[Measured]:
    found = []
    for key, short in (
        ("readings_per_cpu_s", "cpu"),
        ("rss_mb", "rss"),
        ("rss_live_mb", "rss_live"),
        ("disk_bytes_per_reading", "disk"),
    ):
        pairs = zip(mine[key], theirs[key], strict=True)
        ratios = [our / their for our, their in pairs]
        found.append(Measured(f"peer.{ours}.{short}_over_{name}", "ratio", ratios))
    return found


def names() -> list[str]:
    """Return the names of all figures."""
    empty = {entry.peer.name: Rounds() for entry in entries()}
    return [one.name for one in figures(empty)]


@cache
def _compared() -> tuple[dict[str, Measured], dict[str, str]]:
    """Return the figures by name, and why those of some peers are missing, by the peer."""
    found = compare([entry for entry in entries() if not entry.peer.missing()], ROUNDS)
    whole = {name: mine for name, mine in found.items() if not mine.problem}
    problems = {name: mine.problem for name, mine in found.items() if mine.problem}
    return {one.name: one for one in figures(whole)}, problems


def measure(name: str) -> list[Measured]:
    """Measure all peers, once, and return the figure of this name.

    Raises FileNotFoundError, saying what to do, if a peer that it is about isn't installed,
    RuntimeError if one has failed.
    """
    about = [
        entry.peer
        for entry in entries()
        if f".{entry.peer.name}." in name or name.endswith(f"_over_{entry.peer.name}")
    ]
    for peer in about:
        reason = peer.missing()
        if reason:
            raise FileNotFoundError(reason)
    found, problems = _compared()
    for peer in about:
        if peer.name in problems:
            raise RuntimeError(problems[peer.name])
    return [found[name]]
