"""What tutorials do with a board that prints JSON lines; for comparison only.

    python json_lines.py SERIAL_PORT UPSTREAM_PORT

Read a line, INSERT, commit, publish.
"""

import json
import sqlite3
import sys
import time

import paho.mqtt.client as mqtt
import serial
from paho.mqtt.enums import CallbackAPIVersion


def main(port: str, upstream_port: int) -> None:
    """Take readings for ever."""
    client = mqtt.Client(CallbackAPIVersion.VERSION2, "json-lines")
    client.connect("127.0.0.1", upstream_port)
    client.loop_start()
    database = sqlite3.connect("readings.db")
    database.execute("CREATE TABLE IF NOT EXISTS readings (time REAL, sensor TEXT, value REAL)")
    line = serial.Serial(port, 115200, timeout=1)
    while True:
        text = line.readline()
        try:
            reading = json.loads(text)
            row = (time.time(), reading["sensor"], reading["value"])
        except (ValueError, KeyError, TypeError):
            continue  # half a line
        database.execute("INSERT INTO readings VALUES (?, ?, ?)", row)
        database.commit()
        client.publish("readings/" + reading["sensor"], text.strip(), qos=1)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
