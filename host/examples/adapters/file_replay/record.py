"""Makes a recording, which the agent then replays: rules judge it as it comes.

    $ python record.py recording.jsonl
    wrote 3 readings of 20 seconds
    $ pyv-edge-host run --config edge.toml &
    $ pyv-edge-host query --config edge.toml
    time                      sensor  value  unit  quality  time_quality
    2026-11-27T08:00:00.100Z  lab     21.5   Cel   good     good
    2026-11-27T08:00:00.200Z  lab     31     Cel   good     good
    2026-11-27T08:00:00.300Z  lab     22     Cel   good     good
    $ pyv-edge-host query --config edge.toml --format csv events
    time,sensor,rule,severity,state,value,unit,message,time_quality
    2026-11-27T08:00:00.200Z,lab,warm,warning,firing,31.0,Cel,"lab is 31 Cel, above 30",good
    2026-11-27T08:00:00.300Z,lab,warm,warning,resolved,22.0,Cel,warm is over: lab is 22 Cel,good

The same file can be read without an agent: FileReplayAdapter.read_jsonl("recording.jsonl").
"""

import json
import sys
from pathlib import Path

VALUES = (21.5, 31.0, 22.0)


def main(path: Path) -> None:
    """Write it."""
    lines = [
        {"sensor_name": "bench", "timestamp": 1_780_000_000 + 10 * n, "value": one, "unit": "Cel"}
        for n, one in enumerate(VALUES)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    print(f"wrote {len(lines)} readings of {10 * (len(lines) - 1)} seconds")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
