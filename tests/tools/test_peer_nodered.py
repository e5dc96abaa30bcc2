"""What the bench writes for Node-RED, and reads of what it sends; Node-RED itself isn't needed."""

import json
from pathlib import Path

import pytest
from pyv_edge_bench.peers import load
from pyv_edge_bench.peers.nodered import NodeRed
from pyv_edge_bench.peers.peer import Site

ROOT = Path(__file__).parents[2]


@pytest.fixture
def site(tmp_path):
    site = Site(tmp_path, "4711", 4712)
    NodeRed().prepare(site)
    return site


def nodes(site):
    flow = json.loads((site.folder / "flows.json").read_text())
    return {node["id"]: node for node in flow}


def test_connections_have_the_ports_of_the_site_and_keep_their_sessions(site):
    source, upstream = nodes(site)["source"], nodes(site)["upstream"]
    assert (source["port"], upstream["port"]) == ("4711", "4712")
    assert source["clientid"] != upstream["clientid"]
    for broker in (source, upstream):
        assert broker["broker"] == "127.0.0.1"
        assert (broker["cleansession"], broker["autoUnsubscribe"]) == (False, False)


def test_readings_come_and_go_with_qos_1(site):
    entry, end = nodes(site)["in"], nodes(site)["out"]
    assert (entry["topic"], entry["qos"], entry["broker"]) == (load.TOPICS, "1", "source")
    assert (end["qos"], end["broker"]) == ("1", "upstream")


def test_a_reading_is_inserted_before_it_goes_upstream(site):
    flow, at, way = nodes(site), "in", []
    while flow[at]["wires"]:
        [[at]] = flow[at]["wires"]
        way.append(flow[at]["type"])
    assert way == ["function", "sqlite", "change", "mqtt out"]


def test_a_gate_opens_and_closes_the_source(tmp_path):
    site = Site(tmp_path, "4711", 4712)
    NodeRed(has_gate=True).prepare(site)
    flow = nodes(site)
    assert not flow["source"]["autoConnect"]
    assert flow["upstream"]["autoConnect"]
    assert flow["watch"]["scope"] == ["out"]
    assert flow["gate"]["broker"] == "source"


def test_without_a_gate_both_are_connected_at_the_start(site):
    flow = nodes(site)
    assert flow["source"]["autoConnect"] and flow["upstream"]["autoConnect"]
    assert "gate" not in flow
    assert {NodeRed().name, NodeRed(has_gate=True).name} == {"nodered", "nodered_gated"}


def test_only_references_name_a_node(site):
    # Node-RED takes any value that is some node's id for a reference to it.
    flow = nodes(site)
    for node in flow.values():
        settings = {key: value for key, value in node.items() if key not in ("id", "wires")}
        named = {key for key, value in settings.items() if value in list(flow)}
        assert named <= {"z", "broker", "mydb"}, node


def test_nothing_listens_and_nothing_is_told_to_anybody(site):
    text = (site.folder / "settings.js").read_text()
    settings = json.loads(text.removeprefix("module.exports = ").rstrip(";\n"))
    assert (settings["httpAdminRoot"], settings["httpNodeRoot"]) == (False, False)
    assert not settings["telemetry"]["enabled"]


def test_its_table_is_there_and_empty_at_first(site):
    assert NodeRed().stored(site) == 0


def test_command_works_in_the_folder_of_the_site(site, tmp_path):
    command = NodeRed(tmp_path / "there").command(site)
    assert command[1].startswith(str(tmp_path / "there"))
    assert str(site.folder) in command


def test_a_message_has_one_number():
    payload = b'{"sensor": "s0", "timestamp": 1700000000000, "value": 0.1234}'
    assert NodeRed().numbers("bench/s0/temp", payload) == [1234]
    sent = json.loads(load.message(8001))
    assert NodeRed().numbers("bench/s1/temp", json.dumps(sent).encode()) == [8001]


@pytest.mark.parametrize(
    "payload",
    [b"", b"{", b"\xff\xfe", b"[]", b"[1]", b"7", b"null", b"{}", b'{"value": "1"}']
    + [b'{"value": true}', b'{"value": null}', b'{"value": NaN}', b'{"value": 1e999}'],
)
def test_what_is_no_reading_has_no_number(payload):
    assert NodeRed().numbers("bench/s0/temp", payload) == []


def test_what_to_do_is_said_where_it_is_not_installed(tmp_path):
    folder = tmp_path / "nodered"
    assert NodeRed(folder).missing() == f"no Node-RED in {folder}: make bench-peers"
    folder.mkdir()
    (folder / "reason").write_text("there is no npm\n")
    told = NodeRed(folder).missing()
    assert told == f"no Node-RED in {folder} (there is no npm): make bench-peers"


def test_versions_are_pinned_and_no_registry_is_named():
    folder = ROOT / "tools" / "pyv_edge_bench" / "peers" / "nodered"
    wanted = json.loads((folder / "package.json").read_text())["dependencies"]
    text = (folder / "package-lock.json").read_text()
    packages = json.loads(text)["packages"]
    assert packages[""]["dependencies"] == wanted
    for name, version in wanted.items():
        assert packages[f"node_modules/{name}"]["version"] == version
    assert '"resolved"' not in text
