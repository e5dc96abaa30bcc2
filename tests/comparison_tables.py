"""Tables of what ours costs beside what others do, out of a record of the bench."""

from pyv_edge_bench.figure import Figure

# As in comparison.entries(), each with its column.
PEERS = {
    "ours_mqtt": "Pyvorin Edge, MQTT in batches",
    "ours_mqtt_each": "Pyvorin Edge, MQTT (default)",
    "ours_serial": "Pyvorin Edge, serial",
    "nodered": "Node-RED",
    "nodered_gated": "Node-RED, gated",
    "tb": "ThingsBoard gateway",
    "naive": "commit each reading",
    "tutorial": "JSON lines, serial",
}
ROWS = {
    "readings_per_s": "readings stored and forwarded in a second",
    "readings_per_cpu_s": "readings stored and forwarded for a CPU second",
    "cpu_s_per_1000": "CPU seconds for 1,000 readings",
    "rss_mb": "peak RSS meanwhile, MB",
    "rss_live_mb": "peak RSS at 375 readings a second, MB",
    "disk_bytes_per_reading": "bytes written for a reading",
    "lost_kill": "never arrived, of 4,000 with a SIGKILL",
    "lost_outage": "never arrived, of 9,000 with an outage of 20 s",
    "repeated": "arrived again, of both",
    "doubled": "of those, can't be told from new ones",
}
SHORT = (
    *("readings_per_cpu_s", "rss_mb", "rss_live_mb", "disk_bytes_per_reading"),
    *("lost_kill", "lost_outage", "repeated", "doubled"),
)
COUNTS = ("lost_kill", "lost_outage", "doubled", "repeated")


def number(value):
    """Return a number with three digits that mean something."""
    if isinstance(value, int):
        return f"{value:,}"
    rounded = float(f"{value:.3g}")
    return f"{rounded:,.0f}" if rounded >= 100 or rounded.is_integer() else f"{rounded:g}"


def spread(figure: Figure, *, is_short=False):
    """Return a median and, unless all repeats are the same, from where to where they go."""
    values = figure.measured.values
    low, high = number(min(values)), number(max(values))
    middle = number(figure.value)
    return middle if low == high or is_short else f"{middle} ({low} to {high})"


def table(head, rows):
    """Return a table of Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n" + "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n\n"


def side_by_side(figures):
    """Return what each peer takes and loses."""
    return _beside(figures, ROWS, ROWS)


def in_short(figures):
    """Return the rows that decide: medians, and of losses the range."""
    return _beside(figures, SHORT, COUNTS)


def _beside(figures, keys, ranged):
    """Return rows of these keys with a column for each peer; of those `ranged` with a range."""
    found = {one.measured.name: one for one in figures}
    there = [name for name in PEERS if f"peer.{name}.readings_per_s" in found]
    rows = [
        [
            ROWS[key],
            *[spread(found[f"peer.{name}.{key}"], is_short=key not in ranged) for name in there],
        ]
        for key in keys
        if f"peer.{there[0]}.{key}" in found
    ]
    return table(["", *[PEERS[name] for name in there]], rows)


def limits(figures):
    """Return what bare loops do, in readings a second, beside what ours does in their place."""
    found = {one.measured.name: one.value for one in figures}
    rows = [
        [label, number(of(found)), number(ours(found))]
        for label, of, ours in (
            (
                "insert rows, 500 a commit, with `executemany`",
                lambda by: 1e6 / by["e2e.bare_sqlite_us"],
                lambda by: 1e6 / (by["store.pipeline_us"] + by["store.commit_us"]),
            ),
            (
                "from wire bytes to rows: unstuff, check, unpack, insert",
                lambda by: 1e6 / by["e2e.bare_loop_us"],
                lambda by: 1e6 / by["e2e.wire_us"],
            ),
            (
                "check and unpack frames that lie ready",
                lambda by: 16e6 / by["link.decode_us.bare"],
                lambda by: 16e6 / by["link.decode_us.path"],
            ),
            (
                "receive MQTT messages with the library's client, acknowledge and drop them",
                lambda by: by["adapter.mqtt_dropped_per_s"],
                lambda by: by["adapter.mqtt_stored_per_s"],
            ),
        )
    ]
    return table(["readings a second", "bare", "ours, stored where rows are"], rows)


def goals(figures, prefix=""):
    """Return all figures that have a goal and begin so, with how they stand to it."""
    rows = [
        [
            f"`{one.measured.name}`",
            spread(one),
            one.measured.unit,
            str(one.goal),
            "yes" if one.is_ok else "**no**",
        ]
        for one in figures
        if one.goal is not None and one.measured.name.startswith(prefix)
    ]
    return table(["figure", "median (least to most)", "unit", "goal", "met"], rows)
