"""Prints what is in the stream.

$ nats-server -js -p 4222 &
$ pyv-edge-host run --config edge.toml &
$ python read.py 4222
hall 21.5 Cel
"""

import asyncio
import json
import sys

import nats


async def read(port: int) -> None:
    """Print each reading of the stream, from its first on."""
    connection = await nats.connect(f"nats://127.0.0.1:{port}")
    try:
        stream = connection.jetstream()
        messages = await stream.subscribe("pyvorin.>", ordered_consumer=True)
        for _ in range((await stream.stream_info("PYVORIN")).state.messages):
            reading = json.loads((await messages.next_msg(timeout=10)).data)
            if "seq" in reading["metadata"]:
                print(reading["sensor_name"], reading["value"], reading["unit"])
    finally:
        await connection.close()


if __name__ == "__main__":
    asyncio.run(read(int(sys.argv[1])))
