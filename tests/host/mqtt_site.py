"""An agent with an MQTT device, in this process, and somebody who publishes to its broker."""

import json
import sqlite3

from host.fakes import FixedRandom
from host.processes import free_port, mosquitto
from host.waiting import wait_for

HASTE = 0.02  # share of each back-off that is really waited


def published(port, count, first=0, topic="site/a", qos=1, **options):
    """Publish `count` numbers from `first` on, each as {"value": n}, until they are taken."""
    with publishing(port, **options) as client:
        infos = [
            client.publish(topic, json.dumps({"value": number}), qos)
            for number in range(first, first + count)
        ]
        for one in infos:
            one.wait_for_publish(60)


class publishing:
    """A client of the library while the block lasts."""

    def __init__(self, port, client_id="sensors", **options):
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion

        self.port = port
        self.client = Client(CallbackAPIVersion.VERSION2, client_id=client_id, **options)
        self.client.max_inflight_messages_set(500)

    def __enter__(self):
        self.client.connect("127.0.0.1", self.port)
        self.client.loop_start()
        wait_for(self.client.is_connected, "a connection")
        return self.client

    def __exit__(self, *_):
        self.client.disconnect()
        self.client.loop_stop()


class MQTTSite:
    """Its broker need not be there."""

    def __init__(self, folder, agents, write_config, log):
        self.folder, self.log = folder, log
        self._agents, self._write_config = agents, write_config
        self.broker = None
        self.port = free_port()
        self.agent = None

    def start_broker(self, **more):
        self.broker = mosquitto(self.folder / "broker", self.port, **more).start()
        return self.broker

    def configure(self, **device):
        table = {
            "name": "meter",
            "ingest_type": "mqtt",
            "port": self.port,
            "topic": "site/+",
            "time_path": "",
            **device,
        }
        return self._write_config([table], storage={"commit_interval_ms": 50})

    def start(self, **device):
        self.agent = self._agents(self.configure(**device), rng=FixedRandom(HASTE))
        self.agent.start()
        return self

    def stop(self):
        self.agent.stop()

    @property
    def status(self):
        return self.agent._devices.adapters["meter"].status()

    @property
    def feed(self):
        return next(iter(self.agent._devices._all.values())).feed.status()

    def wait_up(self):
        wait_for(lambda: self.status["is_connected"], "a connection to the broker", 30)
        return self

    def rows(self, statement="SELECT sensor, value FROM readings ORDER BY id"):
        connection = sqlite3.connect(self.folder / "edge.db")
        try:
            return connection.execute(statement).fetchall()
        finally:
            connection.close()

    def values(self):
        return [value for _, value in self.rows()]

    def wait_values(self, expected):
        """Wait until as many are stored, and there are no others."""
        wait_for(lambda: len(self.values()) >= len(expected), f"{len(expected)} readings", 60)
        wait_for(lambda: not self.status["unacknowledged"], "the acknowledgements", 30)
        assert sorted(self.values()) == sorted(expected)

    def close(self):
        if self.broker is not None:
            self.broker.stop()
