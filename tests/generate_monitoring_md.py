"""Writes what /health says of broken parts, and all metrics, into MONITORING.md: `make docs`."""

from pathlib import Path

from generated import put_in
from host.broken_parts import PARTS
from prometheus_client.core import Metric
from pyv_edge_agent.agent import EdgeAgent
from pyv_edge_agent.dashboard.exposition import Exposition
from pyv_edge_agent.dashboard.figures import AREAS, FIGURES, PREFIX
from pyv_edge_agent.dashboard.shown import Shown

DOCUMENT = Path(__file__).resolve().parents[1] / "MONITORING.md"
SAMPLES = {"counter": "_total", "info": "_info"}


def parts():
    """Return the table of broken parts as Markdown."""
    lines = ["| broken | part | status | reason |", "|---|---|---|---|"]
    for one in PARTS:
        reason = one.reason.replace("<...>", "…").replace("|", "\\|")
        lines.append(f"| {one.what} | `{one.part}` | {one.status} | {reason} |")
    return "\n".join(lines)


def metrics():
    """Return the table of all metrics as Markdown."""
    own = {}
    for one in FIGURES:
        label = [one.label[0]] if one.label else []
        own[f"{PREFIX}{one.name}"] = [*filter(None, [AREAS[one.area]]), *label]
    lines = ["| metric | kind | labels | what |", "|---|---|---|---|"]
    agent = EdgeAgent()
    for family in Exposition(agent, Shown(agent, is_local=True)).collect():
        name = family.name + SAMPLES.get(family.type, "")
        labels = own.get(name) or labels_of(family)
        shown = ", ".join(f"`{label}`" for label in labels)
        lines.append(f"| `{name}` | {family.type} | {shown} | {family.documentation} |")
    return "\n".join(lines)


def labels_of(family: Metric):
    """Return the labels that a family is made with."""
    return list(getattr(family, "_labelnames", ())) or [
        label for sample in family.samples[:1] for label in sample.labels
    ]


def generate(document):
    """Return the text of `document` with both tables as they are now."""
    document = put_in(document, "broken parts", f"\n{parts()}\n\n")
    return put_in(document, "metrics", f"\n{metrics()}\n\n")


if __name__ == "__main__":
    DOCUMENT.write_text(generate(DOCUMENT.read_text()))
