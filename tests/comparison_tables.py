"""Tables of what ours costs beside what others do, out of a record of the bench."""

from pyv_edge_bench.figure import Figure

# As in comparison.entries(), each with its column.
PEERS = {
    "ours_mqtt": "Pyvorin Edge, MQTT",
    "ours_serial": "Pyvorin Edge, serial",
    "nodered": "Node-RED",
    "tb": "ThingsBoard gateway",
    "naive": "commit each reading",
    "tutorial": "JSON lines, serial",
}
ROWS = {
    "readings_per_s": "readings a second, stored and forwarded",
    "readings_per_cpu_s": "the same for a CPU second",
    "cpu_s_per_1000": "CPU seconds for 1,000 readings",
    "rss_mb": "peak RSS, MB",
    "disk_bytes_per_reading": "bytes written for a reading",
    "lost_kill": "lost over a SIGKILL, of 4,000",
    "lost_outage": "lost over 20 s without upstream, of 9,000",
    "doubled": "doubled in both",
    "repeated": "repeated under a key in both",
}
SHORT = ("readings_per_cpu_s", "rss_mb", "disk_bytes_per_reading", "lost_kill", "lost_outage")
SHORT_PEERS = ("ours_mqtt", "ours_serial", "nodered", "tb", "naive")
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
    found = {one.measured.name: one for one in figures}
    there = [name for name in PEERS if f"peer.{name}.readings_per_s" in found]
    rows = [
        [label, *[spread(found[f"peer.{name}.{key}"]) for name in there]]
        for key, label in ROWS.items()
    ]
    return table(["", *[PEERS[name] for name in there]], rows)


def in_short(figures):
    """Return the rows that decide: medians, and of losses the range."""
    found = {one.measured.name: one for one in figures}
    there = [name for name in SHORT_PEERS if f"peer.{name}.readings_per_s" in found]
    rows = [
        [
            ROWS[key],
            *[spread(found[f"peer.{name}.{key}"], is_short=key not in COUNTS) for name in there],
        ]
        for key in SHORT
    ]
    return table(["", *[PEERS[name] for name in there]], rows)


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
