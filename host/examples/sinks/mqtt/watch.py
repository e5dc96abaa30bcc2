"""Prints what comes to a broker.

$ python watch.py 1883 &
$ pyv-edge-host run --config edge.toml &
pyvorin/pyv-edge/hall/value 21.5 Cel
"""

import json
import sys
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion


def subscribe(client: mqtt.Client, *_: Any) -> None:
    """Ask for all readings whenever there is a connection."""
    client.subscribe("pyvorin/+/+/+", qos=1)
    print("watching", flush=True)


def show(client: mqtt.Client, given: Any, message: mqtt.MQTTMessage) -> None:
    """Print a reading."""
    reading = json.loads(message.payload)
    print(message.topic, reading["value"], reading["unit"], flush=True)


if __name__ == "__main__":
    watcher = mqtt.Client(CallbackAPIVersion.VERSION2, "watcher")
    watcher.on_connect = subscribe
    watcher.on_message = show
    watcher.connect("127.0.0.1", int(sys.argv[1]))
    watcher.loop_forever()
