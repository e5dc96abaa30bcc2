"""Which figures there are. A new one is a line here and, if it has a goal, one in budgets.toml.

A measurement may give more than the figure it is named for: lines of a profile,
which have no goal and whose names begin with the figure's group.
"""

from collections.abc import Callable
from functools import partial

from . import (
    cli_start,
    core_path,
    core_size,
    dashboard,
    flashing,
    link_decode,
    link_latency,
    link_wire,
    node,
    scale,
    simulation,
    store,
)
from .figure import Measured
from .peers import comparison

FIGURES: dict[str, Callable[[], list[Measured]]] = {
    "core.path_vs_json.micropython": core_path.on_micropython,
    "core.path_vs_json.cpython": core_path.on_cpython,
    "core.mpy_bytes": core_size.mpy_bytes,
    "core.mpy_bytes_board": core_size.mpy_bytes_board,
    "core.mpy_bytes_board_plain": core_size.mpy_bytes_board_plain,
    "core.mpy_module_bytes": core_size.mpy_module_bytes,
    "core.heap_free_bytes": core_size.heap_free_bytes,
    "link.decode_ratio": link_decode.measure,
    "link.wire_bytes_per_reading": link_wire.measure,
    "link.durable_ack_p99_ms": link_latency.measure,
    "node.mpy_bytes": node.mpy_bytes,
    "node.heap_free_bytes": node.heap_free_bytes,
    "node.jitter_p99_ms": node.jitter,
    "flash.unchanged_s": flashing.unchanged,
    "flash.line_rate_ratio": flashing.line_rate,
    "sim.readings_per_minute": simulation.readings_per_minute,
    "store.commit_ratio": store.commit,
    "store.disk_bytes_per_reading": store.disk,
    "store.rest_bytes_per_reading": store.rest,
    "store.query_hour_ms": store.query_hour,
    "store.open_10m_ms": store.opening,
    "sync.drain_readings_per_s": store.drain,
    "sync.live_p99_ms": store.live,
    "agent.rss_mb": store.rss,
    "agent.rss_growth_mb": store.growth,
    "agent.idle_cpu_percent": store.idle,
    "adapter.mqtt_ratio": store.mqtt,
    "health.metrics_ms": dashboard.metrics,
    "health.metrics_cpu_percent": dashboard.metrics_cpu,
    "api.chart_30d_ms": dashboard.chart,
    "page.first_paint_ms": dashboard.first_paint,
    "page.bytes": dashboard.page_bytes,
    "e2e.sqlite_ratio": store.wire,
    "cli.start_ratio.help": cli_start.help_text,
    "cli.start_ratio.status": cli_start.status,
    **{name: partial(comparison.measure, name) for name in comparison.names()},
    "scale.devices.cpu_ms_per_1000.64": scale.devices,
    "scale.channels.cpu_ms_per_1000.1000": scale.channels,
    "scale.stored.commit_us.10000000": scale.stored,
    "scale.backlog.drain_per_s.10000000": scale.backlog,
    "scale.fleet.nats_up_bytes.10": scale.fleet,
}
APART = ("scale",)  # takes twenty minutes, and draws plots: measured only if it is named


def groups() -> list[str]:
    """Return the first words of the names."""
    return list(dict.fromkeys(name.split(".")[0] for name in FIGURES))


def chosen(words: list[str]) -> list[str]:
    """Return the names that `words` choose: a figure's own, or the dotted start of several.

    No word chooses all but those APART. Raises KeyError for a word that chooses none.
    """
    if not words:
        return [name for name in FIGURES if name.split(".")[0] not in APART]
    names: list[str] = []
    for word in words:
        found = [name for name in FIGURES if f"{name}.".startswith(f"{word}.")]
        if not found:
            raise KeyError(word)
        names += [name for name in found if name not in names]
    return names


def listed(words: list[str]) -> list[str]:
    """Return the names that there are to choose, or that `words` choose. Raises KeyError."""
    return chosen(words or groups())
