"""A weather service to be asked, which says what has not changed.

    $ python weather.py 8090 &
    $ pyv-edge-host run --config edge.toml &
    $ pyv-edge-host query --config edge.toml
    time                  sensor                  value   unit  quality  time_quality
    2026-05-28T20:20:00Z  weather.north.temp      20.5          good     sender
    2026-05-28T20:20:00Z  weather.north.pressure  1013.2        good     sender
    2026-05-28T20:26:40Z  weather.south.temp      21.25         good     sender
    2026-05-28T20:26:40Z  weather.south.pressure  1012.9        good     sender

Asked again, with the ETag of its last answer, it answers 304 without a body, and the agent stores
nothing: there is no new observation.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

ETAG = '"observation-1"'
FOUND = {
    "stations": [
        {
            "id": "north",
            "observed": "2026-05-28T20:20:00Z",
            "main": {"temp": 20.5, "sea level": 1013.2},
        },
        {
            "id": "south",
            "observed": 1_780_000_000,
            "main": {"temp": "21.25", "sea level": 1012.9},
        },
    ]
}


class StationsHandler(BaseHTTPRequestHandler):
    """Answers GET with what was last observed."""

    def do_GET(self) -> None:
        """Answer."""
        is_known = self.headers.get("If-None-Match") == ETAG
        content = b"" if is_known else json.dumps(FOUND).encode()
        self.send_response(304 if is_known else 200)
        self.send_header("ETag", ETAG)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


if __name__ == "__main__":
    HTTPServer(("127.0.0.1", int(sys.argv[1])), StationsHandler).serve_forever()
