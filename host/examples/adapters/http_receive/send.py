"""A sender that loses nothing and sends nothing twice, in the standard library alone.

    $ pyv-edge-host run --config edge.toml &
    $ python send.py http://127.0.0.1:8081/ingest
    two readings: 200 {'accepted': 2, 'duplicate': False}
    the same again, as if the answer had been lost: 200 {'accepted': 2, 'duplicate': True}
    one without a value: 422 ['[1]: value is missing']
    $ pyv-edge-host query --config edge.toml
    time                      sensor     value  unit  quality  time_quality
    2026-05-28T20:26:40.120Z  shed.temp  21.5   Cel   good     good
    2026-05-28T20:26:40.120Z  shed.hum   40     %RH   good     good

The key is what makes a repetition known. It must not begin anew when the sender does: here it
is of the batch's number and a number that is drawn at each start.
"""

import json
import os
import secrets
import sys
import threading
import urllib.error
import urllib.request
from typing import Any

BOOT = secrets.token_hex(4)
RETRY_S = 1.0


def post(url: str, readings: list[dict[str, Any]], number: int) -> tuple[int, dict[str, Any]]:
    """Send a batch until it is answered; return the status and the answer."""
    headers = {
        "Content-Type": "application/json",
        "Authorization": "Bearer " + os.environ.get("EDGE_INGEST_TOKEN", "only-for-trying"),
        "Idempotency-Key": f"{BOOT}-{number}",
    }
    request = urllib.request.Request(url, json.dumps(readings).encode(), headers)  # noqa: S310
    while True:
        try:
            with urllib.request.urlopen(request, timeout=30) as reply:  # noqa: S310 - ours
                return reply.status, json.load(reply)
        except urllib.error.HTTPError as error:
            if error.code not in (408, 429, 503):
                return error.code, json.load(error)  # sending it again would change nothing
            wait_s = float(error.headers.get("Retry-After", RETRY_S))
        except OSError:
            wait_s = RETRY_S  # the agent is away: what is not answered is sent again
        threading.Event().wait(wait_s)


def main(url: str) -> None:
    """Send what the docstring shows."""
    readings = [
        {"sensor_name": "temp", "value": 21.5, "unit": "Cel"},
        {"sensor_name": "hum", "value": 40.0, "unit": "%RH"},
    ]
    print("two readings:", *post(url, readings, 1))
    print("the same again, as if the answer had been lost:", *post(url, readings, 1))
    status, answer = post(url, [*readings[:1], {"sensor_name": "hum"}], 2)
    print("one without a value:", status, answer["faults"])


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8081/ingest")
