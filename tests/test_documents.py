"""Every block of every document is run or compared by a test, and every command exists.

A block is made by `make docs`, whose result a test compares; or a test takes it, which
document_table.py says; or it is run here, by its language: `sh` as commands, beside a running
agent or in an empty folder, `toml` and `json` as configurations. With any other, this fails.
"""

import os
import re
import subprocess
import sys
from collections import Counter

import document_site
import pytest
from document_blocks import ROOT, blocks, has_test, inline
from document_commands import PROGRAMS, fault_of, words_of
from document_site import DEADLINE_S, Shell, site
from document_table import MADE, NOT_RUN, TAKEN
from host.processes import find
from pyv_edge_tools import board_settings
from rig import AgentProcess, micropython_command, wait_for

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

DOCUMENTS = sorted(path.name for path in ROOT.glob("*.md"))

# Where commands are run: in a folder beside a running agent, or in an empty one for each block.
BESIDE_AN_AGENT = ("MONITORING.md", "OPERATIONS.md")


def is_run(line):
    return not line.startswith((*NOT_RUN, "#")) and line.strip()


def by_hand(document, *languages):
    """Return the blocks of a document that neither `make docs` nor another test has to do with."""
    return [
        block
        for block in blocks(document)
        if not block.made
        and (document, block.heading, block.language) not in TAKEN
        and block.language in languages
    ]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_block_has_a_test(document):
    taken = Counter()
    for block in blocks(document):
        key = (document, block.heading, block.language)
        if block.made:
            assert block.made in MADE.get(document, {}), f"{block}: who compares {block.made}?"
        elif key in TAKEN:
            taken[key] += 1
        else:
            assert block.language in ("sh", "toml", "json"), f"{block}: no test takes it"
    assert taken == {key: count for key, (count, _) in TAKEN.items() if key[0] == document}
    made = {block.made for block in blocks(document)} - {""}
    assert made == MADE.get(document, {}).keys()


def test_tests_that_are_named_exist():
    names = [test for parts in MADE.values() for test in parts.values()]
    names += [test for _, test in TAKEN.values()]
    assert [name for name in names if not has_test(name)] == []
    assert {document for document, _, _ in TAKEN} | MADE.keys() <= {*DOCUMENTS}


@pytest.mark.parametrize(
    "text",
    [
        *("```sh\nls\n", "```sh\nls\n```sh\nls\n```\n", "some `words\n\nand` more\n"),
        *("a\n\n    pyv-edge-host query\n", "a\n\n\tpyv-edge-host query\n"),
    ],
)
def test_what_a_reader_would_see_otherwise_is_refused(text, tmp_path):
    (tmp_path / "x.md").write_text(text)
    with pytest.raises(AssertionError):
        inline(str(tmp_path / "x.md"), PROGRAMS)


def test_blocks_and_commands_are_found(tmp_path):
    path = tmp_path / "x.md"
    path.write_text(
        "# A `x`\n\nSay `sudo pyv-edge-host\nquery` or `ls`.\n\n- also:\n  ```sh\n  ls\n  ```\n"
        "<!-- begin part -->\n```text\nb\n```\n<!-- end part -->\n~~~\nc\n~~~\n"
    )
    assert [one[1:] for one in blocks(str(path))] == [
        (7, "A `x`", "sh", "", "  ls\n"),
        (11, "A `x`", "text", "part", "b\n"),
        (15, "A `x`", "", "", "c\n"),
    ]
    assert inline(str(path), PROGRAMS) == [(3, "pyv-edge-host query")]


# -- commands --------------------------------------------------------------------------


def lines_of(document):
    """Return (block, line) of every command in the document's sh blocks."""
    return [
        (block, line)
        for block in blocks(document)
        if block.language == "sh" and not block.made
        for line in block.text.splitlines()
        if line.strip()
    ]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_command_exists(document):
    faults = [f"{block}: {line}: {fault_of(line)}" for block, line in lines_of(document)]
    starts = (*PROGRAMS, "make", "pip", "python", ".venv/bin/python")
    faults += [f"{document}:{n}: {one}: {fault_of(one)}" for n, one in inline(document, starts)]
    assert [fault for fault in faults if not fault.endswith(": ")] == []


def test_commands_that_do_not_exist_are_found():
    for line in (
        *("pyv-edge-host exprot", "pyv-edge-host export --fromat csv", "make chekc", "cmake x"),
        *("pyv-edge-host queue dlq list", "make simulate SED=1", "pip install 'pyv-edge[gui]'"),
        *("systemctl status pyv-edgy", "python tests/nothing.py", "pyv-edge-flash deploi"),
    ):
        assert fault_of(line), line
    for line in ("sudo make check", "X=1 pyv-edge-host query --json | tail -1", "curl -f x # y"):
        assert not fault_of(line), line


def test_commands_beside_an_agent_run(tmp_path):
    micropython_command()
    todo = [
        (block, line)
        for document in BESIDE_AN_AGENT
        for block in by_hand(document, "sh")
        for line in block.text.splitlines()
        if is_run(line)
    ]
    for program in {words_of(line)[0] for _, line in todo} - PROGRAMS.keys():
        find(program)
    with site(tmp_path / "site") as shell:
        told = [(block, shell.problem(line)) for block, line in todo]
    assert "\n".join(f"{block}: {problem}" for block, problem in told if problem) == ""
    lines = "\n".join(line for _, line in todo)
    for shown in (*shell.instead, *document_site.SPECIAL):
        assert shown in lines, f"{shown} is in no command any more"


@pytest.mark.parametrize("document", [name for name in DOCUMENTS if name not in BESIDE_AN_AGENT])
def test_commands_without_an_agent_run(document, tmp_path):
    problems = []
    for block in by_hand(document, "sh"):
        folder = tmp_path / str(block.line)
        folder.mkdir()
        shell = Shell(folder)
        problems += [shell.problem(line) for line in block.text.splitlines() if is_run(line)]
    assert "\n".join(filter(None, problems)) == ""


def test_everything_in_the_list_of_what_is_not_run_is_needed():
    lines = [line for document in DOCUMENTS for _, line in lines_of(document)]
    for start in NOT_RUN:
        assert [line for line in lines if line.startswith(start)], start


def test_commands_that_fail_are_found(tmp_path):
    shell = Shell(tmp_path)
    assert "ended with 3" in shell.problem("exit 3")
    for typed in ("true", "true > out", "true --output out  # a remark"):
        assert "has told nothing" in shell.problem(typed), typed
    for typed in ("echo a", "echo a > out", "echo a  # a remark"):
        assert shell.problem(typed) == ""


@pytest.mark.parametrize("document", DOCUMENTS)
def test_targets_of_make_know_what_to_do(document):
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    for block, line in lines_of(document):
        if not line.startswith("make "):
            continue
        done = subprocess.run(
            ["sh", "-c", line.replace("make ", "make -n ", 1)],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
        )
        assert (done.returncode, done.stdout != "") == (0, True), f"{block}: {done.stderr}"


# -- configurations --------------------------------------------------------------------


@pytest.mark.parametrize(
    "block",
    [block for document in DOCUMENTS for block in by_hand(document, "toml", "json")],
    ids=str,
)
def test_configurations_are_ok(block, tmp_path):
    for name in re.findall(r'^\w+_file = "(.+?)"', block.text, re.MULTILINE):
        (tmp_path / name).write_text("secret\n")
        (tmp_path / name).chmod(0o600)
    path = tmp_path / f"edge.{block.language}"
    path.write_text(block.text)
    path.chmod(0o600)
    shell = Shell(tmp_path)
    shell.environment["INFLUX_TOKEN"] = "t"
    assert shell.problem(f"pyv-edge-host config check {path.name}") == ""


def test_settings_of_a_board_are_good(tmp_path):
    (block,) = [block for block in blocks("OPERATIONS.md") if block.language == "json"]
    sensor = '"sensors": [{"type": "simulated", "interval_ms": 1000}]'
    path = tmp_path / "device.json"
    path.write_text(f"{{{block.text}, {sensor}}}")
    assert board_settings.read(path).own_types == ()
    path.write_text(f"{{{block.text.replace('size_kb', 'size_kB')}, {sensor}}}")
    with pytest.raises(board_settings.BoardSettingsError, match="size_k"):
        board_settings.read(path)


# -- what is played otherwise ----------------------------------------------------------


def test_who_has_a_token_may_look(tmp_path):
    settings, commands = (
        block.text for block in blocks("MONITORING.md") if block.heading == "Who may look"
    )
    make_token, ask = commands.splitlines()
    find("curl")
    subject = ("-subj", "/CN=edge.example", "-addext", "subjectAltName=DNS:edge.example")
    subprocess.run(
        [find("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", *subject]
        + ["-keyout", "key.pem", "-out", "certificate.pem"],
        cwd=tmp_path,
        capture_output=True,
        check=True,
    )
    both = (tmp_path / "certificate.pem").read_text() + (tmp_path / "key.pem").read_text()
    (tmp_path / "edge.pem").write_text(both)
    (tmp_path / "edge.pem").chmod(0o600)
    shell = Shell(tmp_path)
    assert shell.problem(make_token) == ""
    health = {**tomllib.loads(settings)["health"], "host": "127.0.0.1", "port": 0}
    agent = AgentProcess(tmp_path, {"health": health})
    agent.start()
    try:
        port = wait_for(
            lambda: re.search(r"health is served at https://127\.0\.0\.1:(\d+)", agent.text()),
            "where the health is served",
        )[1]
        shell.instead = {
            "curl ": f"curl -f --connect-to edge.example:8080:127.0.0.1:{port} ",
        }
        assert shell.problem(ask) == ""
        shell.instead["Bearer $(cat health.token)"] = "Bearer x"
        assert "401" in shell.problem(ask)
    finally:
        agent.kill()


def test_sensors_on_a_wire_are_told(tmp_path):
    (block,) = [block for block in blocks("SENSORS.md") if block.language == "sh"]
    words = words_of(block.text)
    assert words[:2] == ["mpremote", "exec"]
    for name, source in {
        "machine": "class Pin:\n    def __init__(self, number):\n        self.number = number\n",
        "onewire": (
            "class OneWire:\n    def __init__(self, pin):\n        assert pin.number == 15\n"
            "    def scan(self):\n        return [bytearray(b'(\\xff\\x01')]\n"
        ),
    }.items():
        (tmp_path / f"{name}.py").write_text(source)
    done = subprocess.run(
        [*micropython_command(), "-c", words[2]], cwd=tmp_path, capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == ("['28ff01']\n", "")


def test_path_is_as_it_is_drawn():
    """Each stage of the README's drawing has its file, and the store's settings their test."""
    (block,) = [block for block in blocks("README.md") if block.language == "text"]
    (path,) = [line for line in block.text.splitlines() if "sampler" in line]
    stages = [one.strip(" -") for one in re.split(r"-- serial -->|-+>", path)]
    files = {
        "sensor": "firmware/pyv_edge_node/sensors/__init__.py",
        "sampler": "firmware/pyv_edge_node/sampler.py",
        "ring": "shared/pyv_edge_core/record_ring.py",
        "link": "host/pyv_edge_agent/link.py",
        "ingest": "host/pyv_edge_agent/ingest.py",
        "SQLite (WAL, FULL)": "host/pyv_edge_agent/store/sqlite.py",
        "uploader": "host/pyv_edge_agent/uploader.py",
        "HTTP": "host/pyv_edge_agent/sinks/http.py",
    }
    assert stages == [*files]
    assert [one for one in files.values() if not (ROOT / one).is_file()] == []
    assert has_test("tests/host/test_store.py::test_wal_and_synchronous_full_are_in_force")
