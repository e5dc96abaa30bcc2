"""What is wrong between the settings of an MQTT device is said before it is opened."""

import pytest
from pyv_edge_agent.config import Config
from pyv_edge_agent.errors import ConfigError

MQTT = {"name": "meter", "ingest_type": "mqtt", "topic": "site/+"}


def problems(*devices, **sections):
    values = {"sensors": {"devices": list(devices)}, **sections}
    with pytest.raises(ConfigError) as refused:
        Config(values)
    return [line.removeprefix("defaults: ") for line in refused.value.problems]


def test_defaults_are_those_of_a_broker_on_this_computer():
    (device,) = Config({"sensors": {"devices": [MQTT]}}).get("sensors", "devices")
    assert (device["host"], device["port"], device["protocol"]) == ("127.0.0.1", 1883, "5")
    assert (device["qos"], device["retained"]) == (1, "ignore")


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ({"topic": "site/a+"}, "topic: 'a+': + and # stand alone between two slashes"),
        ({"channel": "{2}"}, "channel: {2}: the topic has 1 +"),
        ({"topic": "a+", "channel": "{2}"}, "topic: 'a+': + and # stand alone"),
        ({"value_path": "a["}, "value_path: 'a[' has a [ without its ]"),
        ({"payload": "number", "unit_path": "u"}, 'unit_path: has no meaning with payload = "nu'),
        ({"payload": "number", "fields": {"a": "b"}}, "fields: has no meaning with payload"),
        ({"ca_file": "ca.pem"}, "ca_file: needs tls = true"),
        ({"tls": True, "key_file": "k"}, "key_file: needs the certificate, cert_file"),
        ({"password": "p"}, "password: needs a username"),
        ({"host": ""}, "host: must not be empty"),
        ({"port": 0}, "port: 0 is not a whole number in 1..65535"),
        ({"qos": 2}, "qos: 2 is not a whole number in 0..1"),
    ],
    ids=lambda one: str(one)[:40],
)
def test_fault_is_one_line(more, problem):
    (line,) = problems({**MQTT, **more})
    assert line.startswith(f"sensors.devices[0].{problem}")


def test_topic_must_be_given():
    (line,) = problems({"name": "meter", "ingest_type": "mqtt"})
    assert line == "sensors.devices[0].topic: is missing; it must be a text"


def test_two_clients_of_one_name_at_one_broker_would_never_come_to_rest():
    same = "is the same as sensors.devices[0]'s at the same broker"
    first = {**MQTT, "client_id": "x"}
    assert problems(first, {**MQTT, "name": "b", "client_id": "x", "host": "127.0.0.1"}) == [
        f"sensors.devices[1].client_id: {same}"
    ]
    # The usual name of one device is what another has been given.
    assert problems(MQTT, {**MQTT, "name": "b", "client_id": "pyv-edge-meter"}) == [
        f"sensors.devices[1].client_id: {same}"
    ]
    sink = {"mqtt": {"enabled": True, "client_id": "x"}}
    assert problems(first, sinks=sink) == [
        "sensors.devices[0].client_id: is the same as sinks.mqtt's at the same broker"
    ]


def test_the_same_name_at_other_brokers_is_another_client():
    devices = [
        {**MQTT, "name": name, "client_id": "x", "host": host, "port": port}
        for name, host, port in (("a", "one", 1883), ("b", "two", 1883), ("c", "two", 1884))
    ]
    sink = {"mqtt": {"enabled": False, "client_id": "x"}}
    Config({"sensors": {"devices": devices}, "sinks": sink})


def test_port_of_a_broker_is_no_serial_port():
    devices = [MQTT, {**MQTT, "name": "b"}]
    devices.append({"name": "s", "ingest_type": "serial", "port": "/dev/ttyACM0"})
    Config({"sensors": {"devices": devices}})
