"""The ThingsBoard gateway as a peer, without the gateway: what it is told, what is read of it."""

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from host.processes import mosquitto
from pyv_edge_bench.peers import load
from pyv_edge_bench.peers.peer import Site
from pyv_edge_bench.peers.thingsboard import INSTALLED, ThingsBoardGateway

_TELEMETRY = "v1/gateway/telemetry"
_TIMEOUT_S = 60

# Stands for the gateway: asks what it asks first, and says what came, and with which arguments.
_ASKS = """\
import queue, sys
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

came = queue.Queue()
client = Client(CallbackAPIVersion.VERSION2)
client.on_connect = lambda client, *_: client.subscribe("v1/devices/me/rpc/response/+", 1)
client.on_subscribe = lambda client, *_: client.publish(
    "v1/devices/me/rpc/request/7", '{"method": "getSessionLimits", "params": {}}', 1
)
client.on_message = lambda client, given, message: came.put((message.topic, message.payload))
client.connect("127.0.0.1", PORT)
client.loop_start()
print(len(sys.argv), *(part if isinstance(part, str) else part.decode() for part in came.get()))
"""


@pytest.fixture
def site(tmp_path):
    folder = tmp_path / "site"
    folder.mkdir()
    return Site(folder, "1234", 5678)


def _written(site, name):
    return json.loads((site.folder / "config" / name).read_text())


def test_the_connector_takes_every_sensor_and_keeps_its_session(site):
    ThingsBoardGateway().prepare(site)
    connector = _written(site, "mqtt.json")
    broker = connector["broker"]
    assert (broker["host"], broker["port"]) == ("127.0.0.1", 1234)
    assert broker["clientId"] and broker["cleanStart"] is False
    assert broker["version"] == 5 and broker["sessionExpiryInterval"] > 0
    (mapping,) = connector["mapping"]
    assert (mapping["topicFilter"], mapping["subscriptionQos"]) == (load.TOPICS, 1)
    assert mapping["converter"]["sendDataOnlyOnChange"] is False


def test_the_gateway_sends_to_the_upstream_and_stores_on_the_disk_of_the_site(site):
    ThingsBoardGateway().prepare(site)
    gateway = _written(site, "tb_gateway.json")
    server = gateway["thingsboard"]
    assert (server["host"], server["port"], server["qos"]) == ("127.0.0.1", 5678, 1)
    assert {value for name, value in server.items() if name.endswith("Limits")} == {"0:0,"}
    assert server["remoteConfiguration"] is False and server["remoteShell"] is False
    assert server["statistics"]["enable"] is False
    assert gateway["storage"]["type"] == "sqlite"
    assert gateway["storage"]["data_file_path"] == f"{site.folder}/data/"
    assert [connector["configuration"] for connector in gateway["connectors"]] == ["mqtt.json"]


def test_it_logs_warnings_into_a_file_and_asks_no_host_outside(site):
    peer = ThingsBoardGateway()
    peer.prepare(site)
    logs = _written(site, "logs.json")
    assert {logger["level"] for logger in logs["loggers"].values()} == {"WARNING"}
    environment = peer.environment(site)
    assert environment["TB_GW_CONFIG_DIR"] == f"{site.folder}/config/"
    assert Path(environment["TB_GW_LOGS_PATH"]).is_dir()
    assert environment["HTTPS_PROXY"].startswith("http://127.0.0.1:")


def test_it_runs_in_its_own_environment(site, tmp_path):
    command = ThingsBoardGateway(tmp_path).command(site)
    assert command[0] == str(tmp_path / "bin" / "python")
    assert Path(command[1]).is_file() and command[2:] == ("5678",)


def test_numbers_of_a_telemetry_message_with_many_readings_of_many_devices():
    payload = {
        "s1": [{"ts": 1, "values": {"temp": 0.0001}}, {"ts": 2, "values": {"temp": 0.0017}}],
        "s2": [{"ts": 1, "values": {"temp": 1.2346}}],
    }
    numbers = ThingsBoardGateway().numbers(_TELEMETRY, json.dumps(payload).encode())
    assert numbers == [1, 17, 12_346]


@pytest.mark.parametrize(
    ("topic", "payload"),
    [
        ("v1/gateway/connect", b'{"device": "s1", "type": "default"}'),
        ("v1/gateway/attributes", b'{"s1": {"connectorType": "mqtt"}}'),
        ("v1/devices/me/rpc/request/1", b'{"method": "getSessionLimits", "params": {}}'),
        ("bench/s1/temp", b'{"s1": [{"ts": 1, "values": {"temp": 0.01}}]}'),
        (_TELEMETRY, b""),
        (_TELEMETRY, b"\xff"),
        (_TELEMETRY, b'{"s1": [{"ts": 1'),
        (_TELEMETRY, b"[]"),
        (_TELEMETRY, b'{"s1": 5}'),
        (_TELEMETRY, b'{"s1": [5]}'),
        (_TELEMETRY, b'{"s1": [{"ts": 1}]}'),
        (_TELEMETRY, b'{"s1": [{"ts": 1, "values": {"temp": "hot"}}]}'),
        (_TELEMETRY, b'{"s1": [{"ts": 1, "values": {"temp": NaN}}]}'),
        (_TELEMETRY, b'{"s1": [{"ts": 1, "values": {"temp": Infinity}}]}'),
    ],
)
def test_no_numbers_in_anything_else(topic, payload):
    assert ThingsBoardGateway().numbers(topic, payload) == []


def test_stored_counts_the_rows_that_wait_in_every_file(site):
    peer = ThingsBoardGateway()
    peer.prepare(site)
    assert peer.stored(site) == 0
    data = site.folder / "data"
    data.mkdir()
    for name, count in (("data.db", 3), ("data_1.db", 2)):
        with closing(sqlite3.connect(data / name)) as connection:
            connection.execute("CREATE TABLE messages (id INTEGER, timestamp INTEGER, message)")
            connection.executemany("INSERT INTO messages VALUES (?, 1, '')", [(1,)] * count)
            connection.commit()
    assert peer.stored(site) == 5


def test_missing_says_what_to_do_and_why_it_could_not_be_installed(tmp_path):
    peer = ThingsBoardGateway(tmp_path / "none")
    assert peer.missing() == f"no ThingsBoard gateway in {tmp_path}/none: make bench-peers"
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "reason").write_text("no network\n")
    assert "(no network): make bench-peers" in peer.missing()
    (tmp_path / "none" / ".ready").touch()
    assert peer.missing() == ""


def test_all_that_it_needs_is_pinned():
    assert INSTALLED.parts[-3:] == ("build", "peers", "thingsboard")
    requirements = Path(ThingsBoardGateway().command(Site(Path(), "1", 1))[1]).parent
    lines = (requirements / "requirements.txt").read_text().splitlines()
    pinned = [line for line in lines if not line.startswith("#")]
    assert all(line.count("==") == 1 and "://" not in line for line in pinned)
    assert "thingsboard-gateway" in {line.split("==")[0] for line in pinned}


def test_what_the_gateway_asks_a_server_is_answered(site, tmp_path):
    start = ThingsBoardGateway().command(site)[1]
    broker = mosquitto(tmp_path / "broker").start()
    try:
        package = tmp_path / "thingsboard_gateway"
        package.mkdir()
        (package / "__init__.py").touch()
        (package / "tb_gateway.py").write_text(_ASKS.replace("PORT", str(broker.port)))
        ran = subprocess.run(
            [sys.executable, start, str(broker.port)],
            env={"PYTHONPATH": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
        )
    finally:
        broker.stop()
    assert ran.returncode == 0, ran.stderr
    arguments, topic, answer = ran.stdout.split(maxsplit=2)
    assert (arguments, topic) == ("1", "v1/devices/me/rpc/response/7")
    limits = json.loads(answer)
    assert limits["rateLimits"] == {} and limits["maxPayloadSize"] > 0
