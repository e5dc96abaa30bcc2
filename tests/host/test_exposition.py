"""Metrics: what Prometheus thinks of them, their names, and that all who use one name it right."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from host.asking import ask
from host.servers import Answer, serving
from host.waiting import wait_for
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as families
from pyv_edge_agent.dashboard.figures import AREAS, FIGURES
from pyv_edge_agent.dashboard.form import JSON, OPENMETRICS, TEXT, accepted_form
from pyv_edge_core import message

EXAMPLES = Path(__file__).resolve().parents[2] / "host" / "examples" / "prometheus"
SCRAPER = (
    "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;"
    "q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.1"
)
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8"
SIMULATED = {"name": "t1", "ingest_type": "simulator", "unit": "Cel", "noise_std": 0.0}
DEVICES = [
    SIMULATED,
    {"name": 'a "quoted" \\ name', "ingest_type": "serial", "port": "/dev/no/such"},
    {"name": "in", "ingest_type": "http", "port": 0},
]
promtool = pytest.mark.skipif(
    not (shutil.which("promtool") or os.environ.get("CI")), reason="no promtool (prometheus)"
)


@pytest.fixture
def agent(agents, write_config):
    with serving(Answer(200), Answer(503)) as cloud:
        settings = {"enabled": True, "endpoint": cloud.url}
        made = agents(write_config(DEVICES, cloud=settings))
        made.start()
        wait_for(lambda: made.workers[0].readings_total, "a delivery")
        yield made


def scraped(agent, path="/metrics/prometheus", **headers):
    reply = ask(agent, path, **headers)
    assert reply.status == 200
    return reply.body.decode()


def samples(agent):
    """Return the value of each series: by name, and labels in their order."""
    found = {}
    for family in families(scraped(agent)):
        for one in family.samples:
            found[one.name, tuple(sorted(one.labels.items()))] = one.value
    return found


def run(*command, text=""):
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60)
    print(done.stdout, done.stderr)
    return done


@promtool
def test_promtool_has_nothing_to_say(agent):
    done = run("promtool", "check", "metrics", text=scraped(agent))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_both_forms_are_what_their_parsers_take(agent):
    plain = {family.name for family in families(scraped(agent))}
    strict = {family.name for family in openmetrics(scraped(agent, Accept=SCRAPER))}
    assert len(plain) > 80
    assert "pyv_edge_readings_ingested" in strict
    assert {name for name in plain if not name.startswith(("process", "python"))} <= {
        *strict,
        *(f"{name}_info" for name in strict),
        *(f"{name}_total" for name in strict),
    } | plain


def test_names_follow_the_conventions(agent):
    for family in families(scraped(agent)):
        if not family.name.startswith("pyv_edge_"):
            continue
        assert re.fullmatch(r"pyv_edge_[a-z0-9]+(_[a-z0-9]+)*", family.name)
        assert family.documentation.endswith(".")
        assert (family.type == "counter") == any(
            one.name.endswith("_total") for one in family.samples
        ) or not family.samples
        for part in ("_ms", "_mb", "_percent", "_count", "_s"):
            assert not family.name.endswith(part)


def test_figures_of_one_name_agree():
    by_name = {}
    for one in FIGURES:
        assert one.area in AREAS
        assert one.name.endswith("_total") == (one.kind == "counter"), one.name
        first = by_name.setdefault(one.name, one)
        label = one.label and one.label[0]
        assert (one.kind, one.doc, AREAS[one.area], label) == (
            *(first.kind, first.doc, AREAS[first.area]),
            first.label and first.label[0],
        )
    assert len({(one.name, one.area, one.key, one.label) for one in FIGURES}) == len(FIGURES)


def test_every_figure_is_found_in_the_report(agent):
    """A key that is none would make a metric without a series, and nobody would notice."""
    found = {name for name, _ in samples(agent)}
    of_boards = {one for one in FIGURES if one.area == "vitals"}
    absent = {one for one in FIGURES if f"pyv_edge_{one.name}" not in found} - of_boards
    # Nothing waits, and nobody has asked for a reload.
    reloaded = "config_last_reload_success_timestamp_seconds"
    assert {one.name for one in absent} <= {"sink_oldest_pending_seconds", reloaded}
    assert {one.key for one in of_boards} <= set(message.shape(message.VITALS)._fields)


def test_figures_are_those_of_the_agent(agent):
    found = samples(agent)
    assert found["pyv_edge_readings_ingested_total", ()] == 1
    assert found["pyv_edge_readings_stored_total", ()] == 1
    assert found["pyv_edge_health_status", ()] == 1
    assert found["pyv_edge_component_status", (("component", "device/t1"),)] == 0
    quoted = 'a "quoted" \\ name'
    assert found["pyv_edge_component_status", (("component", f"device/{quoted}"),)] == 1
    assert found["pyv_edge_link_state", (("device", quoted), ("state", "searching"))] == 1
    assert found["pyv_edge_link_state", (("device", quoted), ("state", "up"))] == 0
    sink = ("sink", "http")
    assert found["pyv_edge_sink_attempts_total", (("result", "accepted"), sink)] >= 1
    assert found["pyv_edge_sink_readings_delivered_total", (sink,)] == 1
    assert found["pyv_edge_sink_last_success_timestamp_seconds", (sink,)] > 1.7e9
    assert found["pyv_edge_store_state", (("state", "ok"),)] == 1
    commits = found["pyv_edge_commit_seconds_count", ()]
    assert commits == found["pyv_edge_commit_seconds_bucket", (("le", "+Inf"),)] >= 1
    rule = (("rule", "value above 30"), ("state", "inactive"))
    assert found["pyv_edge_rule_alerts", rule] >= 1
    assert found["process_resident_memory_bytes", ()] > 1e6


def test_reload_is_counted_and_one_that_fails_shows(agent, write_config):
    write_config(DEVICES)
    agent.reload_config()
    assert samples(agent)["pyv_edge_config_last_reload_failed", ()] == 0
    write_config([{"name": "t1", "ingest_type": "no such"}])
    with pytest.raises(Exception, match="no such"):
        agent.reload_config()
    found = samples(agent)
    assert found["pyv_edge_config_reloads_total", ()] == 2
    assert found["pyv_edge_config_last_reload_failed", ()] == 1
    assert found["pyv_edge_config_last_reload_success_timestamp_seconds", ()] > 1.7e9


def test_json_is_told_unless_text_is_asked_for_by_name(agent):
    for accept in ("", "*/*", BROWSER, "application/json", "application/json,text/plain;q=0.5"):
        reply = ask(agent, "/metrics", Accept=accept)
        assert reply.headers["Content-Type"] == "application/json"
        assert set(reply.told) >= {"cpu_percent", "uptime_seconds"}
    reply = ask(agent, "/metrics", Accept="text/plain")
    assert reply.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    reply = ask(agent, "/metrics", Accept=SCRAPER)
    assert reply.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    assert reply.body.endswith(b"# EOF\n")
    reply = ask(agent, "/metrics/prometheus", Accept=BROWSER)
    assert reply.headers["Content-Type"].startswith("text/plain")


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("", JSON),
        ("text/plain", TEXT),
        (SCRAPER, OPENMETRICS),
        ("text/plain;q=0", JSON),
        ("TEXT/PLAIN ; Q=0.4 , application/json;q=0.3", TEXT),
        ("text/plain;q=x", JSON),
        ("text/plain;q=7, application/openmetrics-text", TEXT),
        (",;,=;q=", JSON),
        (",".join(["text/html"] * 40 + ["text/plain"]), JSON),
    ],
)
def test_form_is_the_one_that_is_wanted_most(accept, form):
    assert accepted_form(accept) == form


# -- who uses them ---------------------------------------------------------------------


def expressions():
    dashboard = json.loads((EXAMPLES / "grafana.json").read_text())
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            yield target["expr"]
    for variable in dashboard["templating"]["list"]:
        yield variable["query"]
    yield from re.findall(r"expr: (?:>-\n)?((?:.|\n          )+)", rules())


def rules():
    return (EXAMPLES / "alerts.yml").read_text()


def test_dashboard_and_alerts_use_names_and_labels_that_exist(agent):
    series = {}
    for family in families(scraped(agent)):
        series.setdefault(family.name, set())
        for one in family.samples:
            series.setdefault(one.name, set()).update(one.labels)
    for one in FIGURES:  # boards that are up have more
        if AREAS[one.area]:
            series.setdefault(f"pyv_edge_{one.name}", set()).add(AREAS[one.area])
    used = 0
    for expression in expressions():
        for name, labels in re.findall(r"((?:pyv_edge|process)_\w+)(?:\{([^}]*)\})?", expression):
            used += 1
            assert name in series, f"{name} in {expression}"
            for label in re.findall(r"(\w+)\s*=", labels or ""):
                assert label in series[name] | {"instance", "job"}, f"{label} in {expression}"
    assert used > 30


@promtool
def test_promtool_takes_the_alerts_and_the_configuration():
    for kind, name in (("rules", "alerts.yml"), ("config", "prometheus.yml")):
        done = run("promtool", "check", kind, str(EXAMPLES / name))
        assert done.returncode == 0


# -- what must not be in them ------------------------------------------------------------


def test_names_that_the_policy_drops_are_in_no_label(agents, write_config):
    privacy = {"rules": [{"pattern": "bedroom", "action": "drop"}]}
    rules = [{"name": "bedroom too warm", "sensor": "bedroom", "above": 30.0}]
    devices = [SIMULATED, {**SIMULATED, "name": "bedroom"}]
    agent = agents(write_config(devices, privacy=privacy, rules=rules))
    agent.start()
    wait_for(lambda: agent._readings_processed >= 2, "first cycle")
    text = scraped(agent)
    assert "bedroom" not in text
    assert 'component="device/withheld-1"' in text
