"""Makes the database, or prints what is in it.

$ python read.py 8086 "CREATE DATABASE edge"
$ pyv-edge-host run --config edge.toml &
$ python read.py 8086 'SELECT device, unit, value FROM pyvorin'
hall Cel 21.5
"""

import json
import sys
import urllib.parse
import urllib.request


def ask(port: int, query: str) -> None:
    """Print the rows that answer a query, without their times."""
    url = f"http://127.0.0.1:{port}/query?"
    content = urllib.parse.urlencode({"db": "edge", "q": query}).encode()
    with urllib.request.urlopen(url, content, timeout=10) as reply:
        (result,) = json.load(reply)["results"]
    for series in result.get("series", ()):
        for _, *row in series["values"]:
            print(*row)


if __name__ == "__main__":
    ask(int(sys.argv[1]), sys.argv[2])
