"""Writes what was measured into BENCHMARKS.md and README.md, out of records: `make docs`.

The records are in tools/pyv_edge_bench/records/. What a fleet takes is calculated here from
what one agent was measured to take; the assumptions are the constants of `scale_fleet`.
"""

from dataclasses import dataclass
from pathlib import Path

from comparison_tables import goals, in_short, limits, number, side_by_side, table
from generated import put_in
from pyv_edge_bench import bench_file, scale

ROOT = Path(__file__).resolve().parents[1]
DOCUMENT, README = ROOT / "BENCHMARKS.md", ROOT / "README.md"
BENCH = ROOT / "tools" / "pyv_edge_bench" / "records" / "bench.json"

# For each axis, what its rows are called, and figures with what their columns are.
TABLES = {
    "devices": (
        "boards",
        (
            ("cpu_ms_per_1000", "CPU ms of 1,000 readings, 640 a second in all"),
            ("cpu_percent", "percent of a core, 10 a second of each"),
            ("idle_cpu_percent", "the same, no readings"),
            ("most_per_s", "readings a second, as many as go"),
            ("most_cpu_ms_per_1000", "CPU ms of 1,000 of those"),
            ("written_bytes_per_reading", "bytes written of a reading"),
            ("rss_mb", "RSS, MB"),
            ("threads", "threads"),
            ("descriptors", "file descriptors"),
        ),
    ),
    "channels": (
        "channels",
        (
            ("cpu_ms_per_1000", "CPU ms of 1,000 readings"),
            ("written_bytes_per_reading", "bytes written of a reading"),
            ("rest_bytes_per_reading", "bytes in the file of a reading"),
            ("rss_mb", "RSS, MB"),
            ("start_ms", "start, ms"),
        ),
    ),
    "stored": (
        "readings",
        (
            ("commit_us", "commit of a reading, µs"),
            ("upkeep_us", "summaries and seals, µs"),
            ("retention_us", "removal, µs"),
            ("rest_bytes_per_reading", "bytes in the file"),
            ("query_hour_ms", "an hour of one channel, ms"),
            ("chart_30d_ms", "chart of 30 days, ms"),
            ("open_ms", "opening, ms"),
            ("open_checked_ms", "with a full check, ms"),
            ("backup_ms", "backup, ms"),
            ("verify_ms", "audit verify, ms"),
        ),
    ),
    "backlog": (
        "waiting",
        (
            ("opened_ms", "opening, ms"),
            ("grown_mb", "memory by which it grows, MB"),
            ("drain_per_s", "drained, readings a second"),
            ("live_p99_ms", "new readings, p99, ms"),
        ),
    ),
}
SINKS = {
    "mqtt_reading": "MQTT, a message for each reading",
    "mqtt_batch": 'MQTT, `mode = "batch"`',
    "mqtt_senml": "MQTT, batches of SenML",
    "nats": "NATS JetStream",
}
SMALL, LARGE = 10, 2000  # readings of the batches that were measured
IS_MESSAGE_EACH = ("mqtt_reading", "nats")


@dataclass(frozen=True)
class Fleet:
    """What is assumed of a fleet; the rest is measured."""

    agents: int = 10_000
    rate_hz: float = 10.0  # readings of an agent, in a commit a second
    packet_size: int = 66  # bytes of Ethernet, IP and TCP around 1448
    segment_size: int = 1448
    socket_kb: int = 10  # of the kernel, for a connection that is idle
    replicas: int = 3  # of a stream; each costs as much as the one that was measured
    core_share: float = 0.5  # of a core that is to be used at most


def _cell(point):
    if point is None:
        return ""
    median, low, high = number(point.median), number(point.low), number(point.high)
    if point.is_extrapolated:
        return f"*{median}*"
    return median if low == high else f"{median} ({low} to {high})"


def axis_table(points, axis):
    """Return the table of one axis, a row for each place on it."""
    name, columns = TABLES[axis]
    found = {(one.figure, one.x): one for one in points if one.axis == axis}
    places = sorted({x for _, x in found})
    head = [name, *[label for _, label in columns]]
    return table(
        head,
        [[f"{x:,}", *[_cell(found.get((figure, x))) for figure, _ in columns]] for x in places],
    )


def sinks_table(points):
    """Return the table of what a reading is on the way to a broker."""
    found = {(one.figure, one.x): one for one in points if one.axis == "fleet"}
    head = ["to", "readings of a batch", "bytes to it", "bytes back", "its CPU ms of 1,000"]
    rows = []
    for name, label in SINKS.items():
        for size in (SMALL, LARGE):
            figures = ("up_bytes", "down_bytes", "server_cpu_ms_per_1000")
            cells = [_cell(found.get((f"{name}_{figure}", size))) for figure in figures]
            rows.append([label, f"{size:,}", *cells])
    return table(head, rows)


def of_batch(points, name, figure, count):
    """Return what a figure, of each reading, is for a batch of `count` readings.

    A batch has a part that is always the same and one that each reading adds: both follow
    from the two sizes that were measured.
    """
    found = {one.x: one.median for one in points if one.figure == f"{name}_{figure}"}
    small, large = found[SMALL] * SMALL, found[LARGE] * LARGE
    each = (large - small) / (LARGE - SMALL)
    fixed = max(0.0, small - SMALL * each)
    return fixed / count + each


def fleet_table(points, fleet=None):
    """Return the table of what all agents together ask of a cluster."""
    fleet = fleet or Fleet()
    points = [one for one in points if one.axis == "fleet"]
    value = {one.figure: one.median for one in points}
    readings = fleet.agents * fleet.rate_hz
    head = ["", *SINKS.values()]
    rows = {
        "messages a second": [],
        "MB a second to the cluster": [],
        "MB a second back": [],
        f"cores, each at most {fleet.core_share:.0%} used": [],
        "GB for connections, kernel included": [],
        f"GB of storage a day, {fleet.replicas} copies": [],
    }
    for name in SINKS:
        is_each = name in IS_MESSAGE_EACH
        messages = readings if is_each else fleet.agents
        up = of_batch(points, name, "up_bytes", fleet.rate_hz) * readings
        down = of_batch(points, name, "down_bytes", fleet.rate_hz) * readings
        # Each agent's batch of a second is a packet at least.
        packets = max(fleet.agents, up / fleet.segment_size)
        cpu = of_batch(points, name, "server_cpu_ms_per_1000", fleet.rate_hz) * readings / 1e6
        server = "nats" if name == "nats" else "mqtt"
        if server == "nats":
            cpu *= fleet.replicas
        connections = fleet.agents * (value[f"{server}_connection_kb"] + fleet.socket_kb) / 1e6
        kept = value["nats_stored_bytes_per_reading"] * readings * 86_400 * fleet.replicas / 1e9
        cells = (
            *(messages, (up + packets * fleet.packet_size) / 1e6),
            *((down + packets * fleet.packet_size) / 1e6, cpu / fleet.core_share, connections),
        )
        for row, cell in zip(list(rows.values())[:-1], cells, strict=True):
            row.append(number(cell))
        list(rows.values())[-1].append(number(kept) if server == "nats" else "the subscribers'")
    return table(head, [[name, *cells] for name, cells in rows.items()])


def run_line(run):
    """Return when and where it was measured."""
    return (
        f"\nMeasured on {run['date'][:10]}: {run['processor']}, {run['cores']} cores,"
        f" {run['memory_mb'] / 1000:.0f} GB, {run['os']}, {run['kernel']},"
        f" {run['python']}, SQLite {run['sqlite']}.\n\n"
    )


def generate(document, record=scale.RECORD, bench=BENCH):
    """Return the text of BENCHMARKS.md with what the records say now."""
    run, points = scale.read(record)
    document = put_in(document, "scale run", run_line(run))
    for axis in TABLES:
        document = put_in(document, f"scale {axis}", axis_table(points, axis))
    document = put_in(document, "scale sinks", sinks_table(points))
    document = put_in(document, "scale fleet", fleet_table(points))
    measured = bench_file.read(bench)
    document = put_in(document, "bench run", run_line(measured.run))
    document = put_in(document, "peers", side_by_side(measured.figures))
    document = put_in(document, "limits", limits(measured.figures))
    return put_in(document, "goals", goals(measured.figures))


def generate_readme(document, bench=BENCH):
    """Return the text of README.md with the comparison in short."""
    measured = bench_file.read(bench)
    made = run_line(measured.run).rstrip("\n") + "\n" + in_short(measured.figures)
    return put_in(document, "comparison", made)


if __name__ == "__main__":
    DOCUMENT.write_text(generate(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
    README.write_text(generate_readme(README.read_text(encoding="utf-8")), encoding="utf-8")
