"""Prints the readings in the files, each once.

    $ pyv-edge-host run --config edge.toml &
    $ python read.py out
    hall 21.5 Cel

A line that closes a batch says which one it was. What stands behind the last of them was being
written when the power failed, and is written again.
"""

import json
import sys
from pathlib import Path

REMARK = "batch_id"


def read(folder: str) -> None:
    """Print the readings of all whole batches."""
    for segment in sorted(Path(folder).glob("*.ndjson")):
        waiting = []
        for line in segment.read_text(encoding="utf-8").splitlines():
            item = json.loads(line)
            waiting.append(item)
            if REMARK in item:
                for one in waiting:
                    if "seq" in one.get("metadata", ()):
                        print(one["sensor_name"], one["value"], one["unit"])
                waiting = []


if __name__ == "__main__":
    read(sys.argv[1])
