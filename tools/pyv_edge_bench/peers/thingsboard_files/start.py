"""Start the gateway: start.py PORT. Runs in the gateway's own environment, see `thingsboard`.

Until its server has told it the limits of a session, the gateway sends nothing at all. A bare
broker tells nobody anything, so a thread here answers that one question in the server's place.
The gateway itself is started as by `python -m thingsboard_gateway.tb_gateway`.
"""

import json
import runpy
import sys
import threading
from typing import Any

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

_REQUEST = "v1/devices/me/rpc/request/"
_RESPONSE = "v1/devices/me/rpc/response/"
_TIMEOUT_S = 60.0
# A server of one's own, as it comes: no rate limits, and these sizes.
_LIMITS = {
    "maxPayloadSize": 65_536,
    "maxInflightMessages": 100,
    "rateLimits": {},
    "gatewayRateLimits": {},
}


def _answer(client: Client, given: Any, message: Any) -> None:
    if json.loads(message.payload).get("method") == "getSessionLimits":
        number = message.topic[len(_REQUEST) :]
        client.publish(_RESPONSE + number, json.dumps(_LIMITS), qos=1)


def _serve(port: int) -> None:
    """Return when the question can come: it is asked once, and is not repeated."""
    is_there = threading.Event()
    client = Client(CallbackAPIVersion.VERSION2, client_id="session-limits")
    client.reconnect_delay_set(1, 5)
    client.on_connect = lambda client, *_: client.subscribe(_REQUEST + "+", 1)
    client.on_subscribe = lambda *_: is_there.set()
    client.on_message = _answer
    client.connect_async("127.0.0.1", port)
    client.loop_start()
    if not is_there.wait(_TIMEOUT_S):
        raise SystemExit(f"no broker on 127.0.0.1:{port} within {_TIMEOUT_S:g} s")


def main() -> None:
    """Answer, and be the gateway."""
    _serve(int(sys.argv[1]))
    del sys.argv[1:]  # the gateway takes any argument for a wish to watch its own files
    runpy.run_module("thingsboard_gateway.tb_gateway", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
