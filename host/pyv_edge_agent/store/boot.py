"""Devices, their boots and their channels: what a HELLO says, as rows that readings name."""

import logging
import sqlite3
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..channel_policy import ChannelPolicies
    from .sqlite import SQLiteStore

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ChannelInfo:
    """One channel, as it is to be stored."""

    name: str
    sensor_name: str
    unit: str
    exponent: int
    privacy: str = ""  # marks with a blank between, see policy


def in_unit(value: float, exponent: int) -> float:
    """Return a stored value of a channel of `exponent` in its unit."""
    if exponent < 0:
        return float(value / 10**-exponent)  # a division rounds right: 2153 / 100 is 21.53
    return float(value * 10**exponent)


@dataclass(frozen=True)
class WatchedChannel:
    """A stored channel that rules are about."""

    channel_id: int
    boot_id: int
    alias: str
    device: str
    info: ChannelInfo


@dataclass(frozen=True)
class EndedBoot:
    """An earlier boot that ended on purpose, with its last counts, as a later HELLO tells it."""

    boot: int
    sampled_total: int
    denied_total: int


@dataclass(frozen=True)
class BootInfo:
    """One boot of one device, as its HELLO tells it."""

    device: str
    alias: str
    boot: int
    board: str
    firmware: str
    reset_cause: str
    channels: tuple[ChannelInfo, ...]
    ended: EndedBoot | None = None


@dataclass(frozen=True)
class OpenedBoot:
    """What a boot is called in the store, and where its streams resume."""

    boot_id: int
    channel_ids: tuple[int, ...]
    next_seq: tuple[int, int]  # telemetry, events
    newest_ms: int | None  # monotonic: of what the device's boots have in the store
    # The newest of it was taken then, or later: in UTC, and monotonic.
    floor_utc_ms: int | None
    floor_ms: int | None


_WATCHED_CHANNELS = """
SELECT channel.id, (SELECT max(boot.id) FROM boot WHERE boot.device_id = device.id), alias,
       device.name, channel.name, sensor_name, unit, exponent, privacy
FROM rule_state JOIN channel ON channel.id = channel_id JOIN device ON device.id = device_id
ORDER BY channel.id
"""


def open_boot(
    store: "SQLiteStore", tx: sqlite3.Connection, info: BootInfo, utc_ms: int, unset_id: int
) -> OpenedBoot:
    """Register a boot and its channels if they are new; return where it resumes."""
    tx.execute(
        "INSERT INTO device (name, alias) VALUES (?, ?)"
        " ON CONFLICT (name) DO UPDATE SET alias = excluded.alias",
        (info.device, info.alias),
    )
    (device_id,) = tx.execute("SELECT id FROM device WHERE name = ?", (info.device,)).fetchone()
    if info.ended is not None:
        _end_boot(store, tx, device_id, info, info.ended, (utc_ms, unset_id))
    boot_id = _add_boot(store, tx, device_id, info, (utc_ms, unset_id))
    next_seq = []
    for stream in (0, 1):
        (seq,) = tx.execute(
            "SELECT next_seq FROM stream WHERE boot_id = ? AND stream = ?", (boot_id, stream)
        ).fetchone()
        next_seq.append(seq)
    channel_ids = tuple(_channel_id(store, tx, device_id, channel) for channel in info.channels)
    times = tx.execute(
        "SELECT max(newest_ms), max(floor_utc_ms), max(floor_ms)"
        " FROM stream JOIN boot ON boot.id = boot_id WHERE device_id = ?",
        (device_id,),
    ).fetchone()
    return OpenedBoot(boot_id, channel_ids, (next_seq[0], next_seq[1]), *times)


def _add_boot(
    store: "SQLiteStore",
    tx: sqlite3.Connection,
    device_id: int,
    info: BootInfo,
    seen: tuple[int, int],
) -> int:
    """Register a boot if it is new; return its id."""
    made = tx.execute(
        "INSERT INTO boot (device_id, boot, first_seen_utc_ms, first_seen_unset_id, board,"
        " firmware, reset_cause) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (device_id, info.boot, *seen, info.board, info.firmware, info.reset_cause),
    )
    boot_id = _boot_id(tx, device_id, info.boot)
    assert boot_id is not None
    if made.rowcount:
        told = {"boot_id": boot_id, "device": info.device, "boot": f"{info.boot:08x}"}
        store.audit.write(tx, "boot_added", told)
    for stream in (0, 1):
        tx.execute(
            "INSERT INTO stream (boot_id, stream) VALUES (?, ?) ON CONFLICT DO NOTHING",
            (boot_id, stream),
        )
    return boot_id


def _boot_id(tx: sqlite3.Connection, device_id: int, boot: int) -> int | None:
    row = tx.execute(
        "SELECT id FROM boot WHERE device_id = ? AND boot = ?", (device_id, boot)
    ).fetchone()
    return None if row is None else int(row[0])


def _end_boot(
    store: "SQLiteStore",
    tx: sqlite3.Connection,
    device_id: int,
    info: BootInfo,
    ended: EndedBoot,
    seen: tuple[int, int],
) -> None:
    """Note how an earlier boot of the device has ended: what it had counted by then.

    One that nobody has heard here is registered, once, if it came between boots that were:
    what it sampled is gone. What a board did before it came to this store is no business of it.
    """
    if _boot_id(tx, device_id, ended.boot) is None:
        (boots,) = tx.execute(
            "SELECT count(*) FROM boot WHERE device_id = ?", (device_id,)
        ).fetchone()
        is_between = boots and _boot_id(tx, device_id, info.boot) is None
        if not is_between or not ended.sampled_total:
            return
        unheard = replace(info, boot=ended.boot, firmware="unknown", reset_cause="unknown")
        boot_id = _add_boot(store, tx, device_id, unheard, seen)
        logger.warning(
            "device %s: boot %08x sampled %d readings and was never heard (boot_id %d)",
            *(info.alias, ended.boot, ended.sampled_total, boot_id),
        )
    # Greetings repeat, and a later report never takes a counter back.
    tx.execute(
        "UPDATE boot SET sampled_total = max(sampled_total, ?),"
        " denied_total = max(denied_total, ?), is_end_known = 1 WHERE device_id = ? AND boot = ?",
        (ended.sampled_total, ended.denied_total, device_id, ended.boot),
    )


def _channel_id(
    store: "SQLiteStore", tx: sqlite3.Connection, device_id: int, info: ChannelInfo
) -> int:
    key = (device_id, info.name, info.sensor_name, info.unit, info.exponent, info.privacy)
    row = tx.execute(
        "SELECT id FROM channel WHERE device_id = ? AND name = ? AND sensor_name = ?"
        " AND unit = ? AND exponent = ? AND privacy = ?",
        key,
    ).fetchone()
    if row is not None:
        return int(row[0])
    policy = store.policies.of(info.sensor_name)
    channel_id = tx.execute(
        "INSERT INTO channel (device_id, name, sensor_name, unit, exponent, privacy, class, sync,"
        " keep_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (*key, policy.channel_class, policy.sync, policy.keep_ms),
    ).lastrowid
    assert channel_id is not None
    # Readings name their channel by its number: what that stands for must not change unnoticed.
    store.audit.write(tx, "channel_added", channel_facts(channel_id, *key))
    return channel_id


def channel_facts(
    channel_id: int, device_id: int, name: str, sensor: str, unit: str, exponent: int, marks: str
) -> dict[str, Any]:
    """Return what the audit log says of a channel."""
    return {
        "channel_id": channel_id,
        "device_id": device_id,
        "name": name,
        "sensor": sensor,
        "unit": unit,
        "exponent": exponent,
        "privacy": marks,
    }


def apply_policies(store: "SQLiteStore", policies: "ChannelPolicies") -> None:
    """Let `policies` hold for the channels there are and for those to come. Raises StoreError."""
    with store.transaction() as tx:
        changed = []
        for channel_id, sensor, *now in tx.execute(
            "SELECT id, sensor_name, class, sync, keep_ms FROM channel"
        ).fetchall():
            policy = policies.of(sensor)
            wanted = [policy.channel_class, policy.sync, policy.keep_ms]
            if now != wanted:
                changed.append((*wanted, channel_id))
        if changed:
            tx.executemany(
                "UPDATE channel SET class = ?, sync = ?, keep_ms = ? WHERE id = ?", changed
            )
            # Which of them are in which block, and until when, has to be found out again.
            tx.execute("UPDATE block SET classes = 7, due_utc_ms = 0")
            store.audit.write(tx, "policies_applied", {"channels": len(changed)})
    store.policies = policies


def watched_channels(reader: sqlite3.Connection) -> list[WatchedChannel]:
    """Return the channels whose alerts are saved, with the last boot of their device."""
    rows = reader.execute(_WATCHED_CHANNELS).fetchall()
    return [WatchedChannel(row[0], row[1], row[2], row[3], ChannelInfo(*row[4:])) for row in rows]
