"""Devices that publish their readings: each is in the store once, also if nobody is there now.

    $ pyv-edge-host run --config edge.toml &
    $ python publish.py 1883
    published 3 messages
    $ pyv-edge-host query --config edge.toml
    time                      sensor                 value  unit  quality  time_quality
    2026-05-28T20:26:40.000Z  greenhouse.north.temp  21.5         good     sender
    2026-05-28T20:26:40.000Z  greenhouse.north.hum   40           good     sender
    2026-05-28T20:26:41.000Z  greenhouse.south.temp  23           good     sender
    2026-05-28T20:26:41.000Z  greenhouse.south.hum   38.5         good     sender
    2026-05-28T20:26:43.120Z  meter                  412    W     good     good

Needs a broker, such as mosquitto, and pip install '.[mqtt]' in a clone. Stop the agent, publish,
and start it again: the broker has kept what came, as long as it is published with QoS 1.
"""

import json
import sys

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

MESSAGES = (
    ("greenhouse/north/climate", {"at": "2026-05-28T20:26:40Z", "air": {"temp": 21.5, "hum": 40}}),
    ("greenhouse/south/climate", {"at": "2026-05-28T20:26:41Z", "air": {"temp": 23, "hum": 38.5}}),
    ("meter/power", 412),
)


def main(port: int) -> None:
    """Publish what the docstring shows; return once the broker has all of it."""
    client = Client(CallbackAPIVersion.VERSION2)
    client.connect("127.0.0.1", port)
    client.loop_start()
    for topic, content in MESSAGES:
        client.publish(topic, json.dumps(content), qos=1).wait_for_publish(30)
    print("published", len(MESSAGES), "messages")
    client.disconnect()
    client.loop_stop()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1883)
