"""The metrics of an agent as text, for Prometheus and whoever reads its formats.

Made of the report at each scrape: nothing is counted here. Labels are names out of the
configuration, as they may be told, or one of a few words, so their number is bounded.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector

from .. import __version__
from ..errors import StoreError
from ..health import STATUSES
from ..histogram import Histogram
from ..link_state import STATES
from ..report import health_report
from ..store.capacity import EVICTING, FULL, OK
from ..store.extract import gap_counts, lost_totals
from .figures import AREAS, COUNTER, FIGURES, PREFIX, Figure
from .form import OPENMETRICS
from .shown import Shown

if TYPE_CHECKING:
    from ..agent import EdgeAgent

TEXT_KIND = "text/plain; version=0.0.4; charset=utf-8"
_OF = {"counter": CounterMetricFamily, "gauge": GaugeMetricFamily}

Report = dict[str, Any]


class Exposition(Collector):
    """The registry of one agent. Any thread may ask."""

    def __init__(self, agent: "EdgeAgent", shown: Shown) -> None:
        """Tell of `agent` what `shown` lets be told."""
        self._agent = agent
        self._shown = shown
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)

    def text(self, form: str) -> tuple[str, bytes]:
        """Return the content type of a form, and all metrics in it."""
        if form == OPENMETRICS:
            content = openmetrics.generate_latest(self._registry)  # type: ignore[no-untyped-call]
            return openmetrics.CONTENT_TYPE_LATEST, content
        return TEXT_KIND, generate_latest(self._registry)

    def describe(self) -> list[Metric]:
        """Return nothing: names are those of `figures`, which a test compares."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield all families."""
        agent = self._agent
        report: Report = self._shown.tree(health_report(agent))
        yield _info(report)
        yield from figures(report)
        yield from _health(report)
        yield from _states(report)
        yield from self._of_devices(report)
        yield from self._of_rules()
        yield from self._of_store()
        yield from self._of_system(report)
        yield from self._of_server()
        yield _histogram(None if agent._ingest is None else agent._ingest.commit_seconds)

    def _of_devices(self, report: Report) -> Iterator[Metric]:
        last = _gauge(
            "device_last_success_timestamp_seconds",
            "When something of a device was last stored.",
            ["device"],
        )
        for name, one in report["components"].items():
            age_s = one["last_success_age_seconds"]
            if name.startswith("device/") and age_s is not None:
                last.add_metric([name.removeprefix("device/")], report["timestamp"] - age_s)
        yield last

    def _of_rules(self) -> Iterator[Metric]:
        ingest = self._agent._ingest
        family = _gauge("rule_alerts", "Alerts of a rule by their state.", ["rule", "state"])
        if ingest is not None:
            counts = ingest.pipeline.alerting.counts_by_rule()
            rules = self._shown.tree([rule for rule, _ in counts])
            for rule, (_, state), count in zip(rules, counts, counts.values(), strict=True):
                family.add_metric([rule, state], count)
        yield family

    def _of_store(self) -> Iterator[Metric]:
        lost = CounterMetricFamily(
            f"{PREFIX}readings_lost", "Readings inside gap records.", labels=["device"]
        )
        gaps = _gauge("gap_records", "Gap records in the store, by cause.", ["cause"])
        readings = CounterMetricFamily(f"{PREFIX}readings_stored", "Readings that were stored.")
        try:
            store = self._agent.store
            readings.add_metric([], store.stored_total)
            totals = lost_totals(store)
            for name, count in zip(self._shown.tree([*totals]), totals.values(), strict=True):
                lost.add_metric([name], count)
            for cause, count in gap_counts(store).items():
                gaps.add_metric([cause], count)
        except StoreError:
            pass  # that it fails, other figures say
        yield from (readings, lost, gaps)

    def _of_system(self, report: Report) -> Iterator[Metric]:
        told = report["metrics"]
        for name, doc, key, scale in (
            ("system_cpu_ratio", "Share of the computer's CPU time in use.", "cpu_percent", 0.01),
            ("system_memory_ratio", "Share of its memory in use.", "ram_percent", 0.01),
            ("system_disk_ratio", "Share of its disk in use.", "disk_percent", 0.01),
            ("system_temperature_celsius", "Its temperature.", "thermal_celsius", 1),
            ("uptime_seconds", "How long the agent runs.", "uptime_seconds", 1),
        ):
            family = _gauge(name, doc, [])
            if told[key] is not None:
                family.add_metric([], told[key] * scale)
            yield family
        family = _gauge(
            "system_throttled", "What the firmware of a Raspberry Pi complains of.", ["flag"]
        )
        for flag, is_set in told.get("throttled", {}).items():
            family.add_metric([flag], is_set)
        yield family

    def _of_server(self) -> Iterator[Metric]:
        server = self._agent._health_server
        connections = _gauge("http_connections", "Open connections.", [])
        turned_away = CounterMetricFamily(
            f"{PREFIX}http_turned_away", "Connections for which there were too many.", labels=[]
        )
        answers = CounterMetricFamily(
            f"{PREFIX}http_answers", "Answers by their status.", labels=["status"]
        )
        if server is not None:
            connections.add_metric([], server.connections)
            turned_away.add_metric([], server.turned_away_total)
            for status, count in sorted(server.answers.items()):
                answers.add_metric([str(status)], count)
        yield from (connections, turned_away, answers)


def figures(report: Report) -> Iterator[Metric]:
    """Yield the families of FIGURES."""
    tables = {area: _tables(report, area) for area in AREAS}
    families: dict[str, Any] = {}
    for one in FIGURES:
        family = families.get(one.name)
        if family is None:
            family = families[one.name] = _family(one)
        own = [one.label[1].replace(" ", "_")] if one.label else []
        for label, table in tables[one.area]:
            value = one.value(table)
            if value is not None:
                family.add_metric([*label, *own], value)
    yield from families.values()


def _family(one: Figure) -> Any:
    labels = [name for name in (AREAS[one.area], one.label[0] if one.label else "") if name]
    name = f"{PREFIX}{one.name.removesuffix('_total') if one.kind == COUNTER else one.name}"
    return _OF[one.kind](name, one.doc, labels=labels)


def _tables(report: Report, area: str) -> list[tuple[list[str], Report]]:
    """Return (labels, table) of the rows of an area."""
    if area == "sinks":
        return [([name], table) for name, table in report["sinks"].items()]
    if area == "vitals":
        return [([link["name"]], link["vitals"]) for link in report["links"]]
    if AREAS[area]:
        return [([one["name"]], one) for one in report[area]]
    return [([], report[area])]


def _gauge(
    name: str, doc: str, labels: list[str] | None = None, value: float | None = None
) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"{PREFIX}{name}", doc, value=value, labels=labels)


def _info(report: Report) -> Metric:
    told = {"version": __version__, "policy": report["privacy"]["policy_hash"]}
    return InfoMetricFamily(f"{PREFIX}build", "What runs.", value=told)


def _health(report: Report) -> Iterator[Metric]:
    """Yield how bad it is, as numbers: 0 is healthy, 1 degraded, 2 unhealthy."""
    scale = "0 healthy, 1 degraded, 2 unhealthy."
    status = STATUSES.index(report["status"])
    yield _gauge("health_status", f"How the agent does: {scale}", value=status)
    parts = _gauge("component_status", f"How a part of it does: {scale}", ["component"])
    for name, one in report["components"].items():
        parts.add_metric([name], STATUSES.index(one["status"]))
    yield parts


def _states(report: Report) -> Iterator[Metric]:
    links = _gauge("link_state", "Whether a link is in a state.", ["device", "state"])
    entered = CounterMetricFamily(
        f"{PREFIX}link_state_changes", "Times that it got into one.", labels=["device", "state"]
    )
    for link in report["links"]:
        for state in STATES:
            links.add_metric([link["name"], state], link["state"] == state)
            entered.add_metric([link["name"], state], link["entered_total"][state])
    store = _gauge("store_state", "Whether the store is in a state.", ["state"])
    for state in (OK, EVICTING, FULL):
        store.add_metric([state], report["store"]["state"] == state)
    yield from (links, entered, store)


def _histogram(commit_seconds: Histogram | None) -> Metric:
    family = HistogramMetricFamily(f"{PREFIX}commit_seconds", "How long commits take.")
    if commit_seconds is not None:
        bounds = [*map(str, commit_seconds.bounds), "+Inf"]
        counts = commit_seconds.cumulative()
        family.add_metric([], list(zip(bounds, counts, strict=True)), commit_seconds.total)
    return family
