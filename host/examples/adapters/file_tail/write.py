"""A program that writes what a meter says into a file, and moves the file away in between.

    $ pyv-edge-host run --config edge.toml &
    $ python write.py meter.csv
    wrote 2 rows, one of them damaged, moved the file to meter.csv.1, wrote 2 more
    $ pyv-edge-host query --config edge.toml
    time                  sensor    value  unit  quality  time_quality
    2026-05-28T20:20:00Z  meter.L1  230    W     good     sender
    2026-05-28T20:20:01Z  meter.L2  231    W     good     sender
    2026-05-28T20:20:02Z  meter.L1  229.5  W     good     sender

The damaged row is counted and named by `pyv-edge-host status`; nothing else is lost over it.
"""

import sys
from pathlib import Path

HEADER = "time,phase,power\n"


def main(path: Path) -> None:
    """Write, move away, write on."""
    path.write_text(HEADER + "2026-05-28T20:20:00Z,L1,230\n2026-05-28T20:20:00Z,L2,2E\n")
    path.rename(path.with_name(path.name + ".1"))
    path.write_text(HEADER + "2026-05-28T20:20:01Z,L2,231\n2026-05-28T20:20:02Z,L1,229.5\n")
    print(
        f"wrote 2 rows, one of them damaged, moved the file to {path.name}.1, wrote 2 more",
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
