"""ADAPTERS.md says what is so: its package is the example's, its code runs, its limits hold."""

import re
import socket
import sys
import threading
from pathlib import Path

from host.fakes import FakeClock
from host.file_rig import Shelf
from host.waiting import wait_for
from pyv_edge_agent import submission
from pyv_edge_agent.adapters import METHODS, guarded_feed, third_party
from pyv_edge_agent.settings import DEVICE, THIRD_PARTY
from pyv_edge_agent.submission import Feed, Sample, Submission

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "ADAPTERS.md").read_text()
EXAMPLE = ROOT / "host" / "examples" / "adapters" / "third_party"


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


def test_package_is_that_of_the_example():
    code, _ = blocks("python")
    source = (EXAMPLE / "one_wire_thermometer.py").read_text()
    assert source.endswith(f'"""\n\n{code}')
    project, device = map(tomllib.loads, blocks("toml"))
    shown = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())
    assert shown["project"] == project["project"]
    assert third_party.GROUP in project["project"]["entry-points"]
    (table,) = device["sensors"]["devices"]
    (example,) = tomllib.loads((EXAMPLE / "edge.toml").read_text())["sensors"]["devices"]
    assert {**table, "options": None} == {**example, "options": None}


def test_adapter_that_pushes_runs():
    _, code = blocks("python")
    names = {}
    exec(code, names)
    clock, shelf = FakeClock(), Shelf()
    device = {"name": "d", "unit": "", "options": {"port": 0}}
    adapter = names["Datagrams"](device, clock)
    address = adapter._socket.getsockname()
    feed = Feed(device, shelf.put, lambda name: {}, clock)
    thread = threading.Thread(target=adapter.run, args=(feed,), daemon=True)
    thread.start()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for data in (b"1.5", b"hello", b"nan", b"2.5"):
            sender.sendto(data, address)
    wait_for(lambda: shelf.values == [1.5, 2.5], "both numbers")
    adapter.stop()
    thread.join(10)
    adapter.close()
    assert feed.rejected_total == 2


def test_tables_have_the_fields_there_are():
    sample, made = (
        re.findall(r"^\| `(\w+)` \|", TEXT.split(f"| `{name}` | |")[1].split("\n\n")[0], re.M)
        for name in ("Sample", "Submission")
    )
    assert tuple(sample) == Sample._fields
    assert set(made) == {"samples", "settle", "key", "position", "after"}
    assert set(made) <= {*Submission.__dataclass_fields__}
    assert [name for name in METHODS if f". `{name}()`" in TEXT] == list(METHODS)
    given = {*DEVICE, *THIRD_PARTY} - {"ingest_type"}
    assert (
        set(re.findall(r"`(\w+)`", TEXT.split("is a `dict` with ")[1].split(", the last")[0]))
        == given
    )


def test_limits_are_those_of_the_code():
    assert f"at most {submission.SAMPLES_MAX:,}" in TEXT
    assert f"At most {submission.CHANNELS_MAX} of a device" in TEXT
    assert f"`blocked` after {third_party.BLOCKED_MS // 1000} s" in TEXT
    assert f"While {guarded_feed.UNTOLD_MAX} calls" in TEXT
    assert third_party.RETRY_S == 5.0
    assert "every five seconds" in TEXT
    assert submission.LOG_MS == 10_000
    assert "every ten seconds" in TEXT
