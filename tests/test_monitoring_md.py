"""MONITORING.md: its tables are what the code says, and its commands and snippets work."""

import re
import shutil
import subprocess
from pathlib import Path

import generate_monitoring_md
import pytest
from host.broken_parts import PARTS
from pyv_edge_agent.config import Config
from pyv_edge_agent.dashboard import api, server
from pyv_edge_agent.http_exchange import HEAD_SIZE_MAX
from pyv_edge_agent.http_server import LINE_SIZE_MAX
from pyv_edge_agent.link import SILENCE_MS
from pyv_edge_agent.view.chart import LOOKED_UP_MAX, Effort

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "MONITORING.md").read_text()


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


def test_tables_are_those_of_the_code():
    assert generate_monitoring_md.generate(TEXT) == TEXT, "make docs"
    assert len(PARTS) > 20


def test_settings_are_settings(tmp_path):
    (snippet,) = blocks("toml")
    (tmp_path / "health.token").write_text("t\n")
    (tmp_path / "health.token").chmod(0o600)
    (tmp_path / "edge.pem").write_text("")
    (tmp_path / "edge.toml").write_text(snippet)
    config = Config.from_file(str(tmp_path / "edge.toml"))
    config.validate()
    assert config.get("health", "token") == "t"
    assert config.get("health", "host") == "0.0.0.0"


@pytest.mark.skipif(shutil.which("promtool") is None, reason="no promtool (prometheus)")
def test_prometheus_takes_its_configuration(tmp_path):
    (snippet,) = blocks("yaml")
    (tmp_path / "p.yml").write_text(snippet.replace("/etc/prometheus/", f"{tmp_path}/"))
    (tmp_path / "pyv-edge.token").write_text("t")
    done = subprocess.run(
        ["promtool", "check", "config", str(tmp_path / "p.yml")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_commands_ask_for_what_there_is():
    asked = [line for block in blocks("sh") for line in block.splitlines() if "curl" in line]
    assert len(asked) >= 5
    known = {"/health", "/livez", "/readyz", "/metrics"}
    for line in asked:
        path, _, query = re.search(r"https?://[^/]+(/[^'\s]*)", line)[1].partition("?")
        name = path.removeprefix(server.API)
        operations = api.Api(None, None, is_local=True).operations
        assert path in known or name in {*operations, "stream"}
        for pair in filter(None, query.split("&")):
            assert pair.split("=")[0] in operations[name][1]


def test_limits_are_those_of_the_code():
    for text in (
        f"At most {server.CONNECTIONS_MAX} connections and {server.STREAMS_MAX} streams",
        f"its first line {LINE_SIZE_MAX // 1024} KiB, its headers {HEAD_SIZE_MAX // 1024} KiB",
        f"for {api.QUERY_MS // 1000} s at most",
        f"is silent after {SILENCE_MS // 1000} s",
        f"at most {Effort().ids_max:,} of all sensors",
    ):
        assert text in TEXT
    assert (api.AT_ONCE, LOOKED_UP_MAX) == (2, 20)
    assert "takes turns, two at a\ntime" in TEXT
    assert "Of the twenty longest" in TEXT
