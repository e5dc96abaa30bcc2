"""Machines to make a bundle of: a store and reports that have every name and secret there is."""

import io
import json
import tarfile
from base64 import b64encode, urlsafe_b64encode
from urllib.parse import quote

from host.fakes import FakeClock
from pyv_edge_agent.cli.bundle import Contents, write_bundle
from pyv_edge_agent.cli.checks.finding import Check
from pyv_edge_agent.cli.checks.plan import Case
from pyv_edge_agent.clock import SystemClock
from pyv_edge_agent.config import Config
from pyv_edge_agent.store import BootInfo, ChannelInfo, SQLiteStore, WriteBatch

VALUE = -314_159_265  # of every reading
BOOT = 0xABCD1234


def forms(secret):
    """Return the ways in which something may be written."""
    data = secret.encode()
    return {
        secret,
        json.dumps(secret)[1:-1],
        quote(secret, safe=""),
        data.hex(),
        b64encode(data).decode().rstrip("="),
        urlsafe_b64encode(data).decode().rstrip("="),
    }


def fill(path, devices):
    """Make a store with readings, a gap and a row of the audit log of each device.

    `devices` are (what it calls itself, alias, channels).
    """
    store = SQLiteStore(path, FakeClock())
    for number, (device, alias, channels) in enumerate(devices):
        rows = [ChannelInfo(one, f"{alias}.{one}", "Cel", 0, "") for one in channels]
        info = BootInfo(device, alias, BOOT + number, "rp2", "1.0", "power", rows)
        opened = store.open_boot(info, FakeClock().utc_ms())
        batch = WriteBatch()
        progress = batch.stream(opened.boot_id, 0, 0)
        utc_ms = FakeClock().utc_ms()
        for seq, channel_id in enumerate(opened.channel_ids):
            batch.readings.append((channel_id, opened.boot_id, 0, seq, utc_ms, 2, 0, VALUE))
        progress.move(stored=len(channels))
        store.commit(batch)
        store.audit.append("command", {"device": alias, "board": device, "target": channels})
    store.close()


def report(devices, texts):
    """Return a health report and findings that have every name, and `texts`, wherever they can."""
    status = {
        "status": "healthy",
        "links": [
            {"name": alias, "device": device, "problem": " ".join(texts)}
            for device, alias, _ in devices
        ],
        "devices": [
            {"name": alias, "problem": f"{alias}.{channel}: {text}"}
            for _, alias, channels in devices
            for channel in channels
            for text in texts
        ],
        "workers": {f"edge-link-{alias}": {"is_late": False} for _, alias, _ in devices},
    }
    findings = [
        Check("board", alias).warn(f"{device} has {channel}: {text}", f"do {text}")
        for device, alias, channels in devices
        for channel in channels
        for text in texts
    ]
    return status, findings


def members(path, status=None, findings=(), *, environment=None):
    """Return the parts of the bundle about a configuration, by name."""
    config = Config.from_file(path, environment or {})
    case = Case(str(path), config, status=status)
    queue = {"sinks": {}, "asked": [json.dumps(status)]}
    return unpacked(Contents(case, list(findings), lambda: queue, SystemClock()))


def unpacked(contents):
    """Write a bundle; return its parts as texts, by name."""
    file = io.BytesIO()
    told = write_bundle(file, contents, "bundle", 1_780_000_000)
    file.seek(0)
    with tarfile.open(fileobj=file) as archive:
        found = {
            one.name.removeprefix("bundle/"): archive.extractfile(one).read().decode()
            for one in archive.getmembers()
        }
        assert all(one.mode == 0o600 for one in archive.getmembers())
    assert list(found) == told
    return found
