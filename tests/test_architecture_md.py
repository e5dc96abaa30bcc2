"""ARCHITECTURE.md is checked against the code: stages, files, counters, tests, arrows."""

import ast
import re
import sys
from functools import cache
from pathlib import Path

import generate_links_md
import pytest
import test_tidy
from pyv_edge_agent import link_state
from pyv_edge_agent.dashboard.figures import COUNTER, FIGURES
from pyv_edge_bench import core_size

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
PLACES = ("shared", "firmware", "host", "tools")
PYTEST = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["pytest"]
IMPORTED_FROM = (*PLACES, *PYTEST["ini_options"]["pythonpath"])
# What the agent says of all parts: a counter may be told there under a name of its own.
REPORTS = ("host/pyv_edge_agent/report.py", "host/pyv_edge_agent/link.py")

# Sections that list modules, and of which packages. A name is of the package with which it
# begins, else of the first.
LISTS = {
    "The board's other files": ("firmware/pyv_edge_node",),
    "The link: the core's files, from bytes to promises": ("shared/pyv_edge_core",),
    "Deciding: the core's files in the order in which a decision is made": (
        "shared/pyv_edge_core",
    ),
    "The tools": ("tools/pyv_edge_tools",),
    "The bench and the simulation": (
        *("tools/pyv_edge_bench", "tests/measure", "tests/simulation"),
    ),
    "What an operator touches": ("host/pyv_edge_agent",),
    "What the agent's stages lean on": ("host/pyv_edge_agent",),
}
# Folders whose files are not listed one by one, and where they are found instead.
UNLISTED = {
    "firmware/pyv_edge_node/sensors": "a file for each sensor, and SENSORS.md",
    "host/pyv_edge_agent/cli": "a file for each command",
    "host/pyv_edge_agent/cli/checks": "a file for each area of `doctor`",
    "tools/pyv_edge_tools/bridge": "a file for each command and what it leans on, and BRIDGE.md",
}
# Stages in no package whose files are listed one by one: nothing but this would miss their rows.
IN_NO_LIST = {"firmware/slots.py", "tools/pyv_edge_tools/bridge/carrier.py"}
# Stages whose proving test imports them through another module of ours, which this is.
THROUGH = {
    "pace": "shared/pyv_edge_core/host_session.py",
    "resume": "host/pyv_edge_agent/ingest.py",
    "keep house": "host/pyv_edge_agent/ingest.py",
    "settle": "host/pyv_edge_agent/ingest.py",
    "store": "host/pyv_edge_agent/store/sqlite.py",
    "seal": "host/pyv_edge_agent/store/upkeep.py",
    "summarise": "host/pyv_edge_agent/store/upkeep.py",
    "salvage": "host/pyv_edge_agent/store/recovery.py",
    "log": "host/pyv_edge_agent/store/verify.py",
    "plan": "host/pyv_edge_agent/store/sqlite.py",
    "queue": "host/pyv_edge_agent/outbox.py",
    "take": "host/pyv_edge_agent/adapters/http_receive.py",
}
# Stages that their test knows from outside only, such as by a process, and what it says of them.
FROM_OUTSIDE = {
    "spill": '"spill"',
    "listen": "HTTPAdapter(",
    "subscribe": '"ingest_type": "mqtt"',
    "follow a file": '"ingest_type": "file"',
    "stay": ': was deleted"',
    "scrape": '"/metrics/prometheus"',
    "the whole": '"demo"',
}
# Counters of metrics that say that something is gone for good, or can be: a new one is put here
# or below. The others tell of work, of repeats, and of what is sent again.
LOSSES = {
    *("privacy.readings_dropped", "privacy.readings_aggregated", "agent.discarded_total"),
    *("store.evicted_total", "store.rejected_total", "store.expired_total"),
    *("store.items_expired_total", "store.items_evicted_total"),
    *("agent.adapter_failures_total", "agent.polls_skipped_total", "agent.polls_missed_total"),
    *("sinks.withheld_total", "sinks.dead_total"),
    *("devices.rejected_total", "devices.full_total"),
    *("links.bad_fcs_total", "links.oversize_total"),
    *("vitals.denied_total", "vitals.dropped_total", "vitals.late_total"),
    *("vitals.sensor_errors_total", "vitals.pages_dropped_total", "vitals.pages_failed_total"),
    *("vitals.pages_refused_total", "rules.suppressed_total"),
}
NO_LOSSES = {
    *("agent.readings_processed", "agent.commits_total", "agent.commit_failures_total"),
    *("agent.misplaced_total", "agent.reloads_total", "ingest.sampled_total"),
    *("store.recoveries_total", "time.steps_total", "time.retimed_total"),
    *("sinks.readings_delivered_total", "sinks.items_delivered_total", "sinks.attempts"),
    *("devices.submitted_total", "devices.known_total", "links.opens_total"),
    *("links.failures_total", "links.frames_total", "links.messages_bad_total"),
    *("links.messages_unknown_total", "links.messages_stale_total", "links.unsealed_total"),
    *("links.forged_total", "links.replayed_total", "links.unasked_total"),
    *("links.duplicates_total", "links.resend_requests_total", "links.refused_total"),
    *("links.noise_bytes_total", "vitals.sampled_total", "vitals.resends_total"),
    *("vitals.frames_bad_total", "vitals.errors_total", "vitals.pages_written_total"),
    *("rules.fired_total", "rules.board_events_total", "rules.late_total"),
}
# What the stages call such a counter where its name in the report is another one.
IN_STAGES = {
    "readings_dropped": "denied_total",
    "readings_aggregated": "aggregated_total",
    "adapter_failures_total": "failures_total",
    "pages_dropped_total": "dropped_total",
    "pages_failed_total": "failed_total",
    "pages_refused_total": "refused_total",
}


def section(title):
    return TEXT.split(f"\n## {title}\n")[1].split("\n## ")[0]


def rows(text):
    """Return the rows of the tables of a text, without their heads, as lists of cells."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [
        [cell.strip() for cell in line[1:-1].split(" | ")]
        for line, behind in zip(lines, [*lines[1:], ""], strict=True)
        if not line.startswith("|--") and not behind.startswith("|--")
    ]


STAGES = rows(section("The stages"))


@cache
def parsed(path):
    return ast.parse((ROOT / path).read_text(encoding="utf-8"), path)


@cache
def identifiers(path):
    """Return the names that a module's code has: attributes, variables, keys of dicts.

    Those in comments and docstrings are none; texts count if they are names alone.
    """
    found = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Attribute):
            found.add(node.attr)
        elif isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.keyword):
            found.add(node.arg)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.add(node.value)
    return found


def trees():
    for place in PLACES:
        for path in sorted((ROOT / place).rglob("*.py")):
            yield parsed(path.relative_to(ROOT).as_posix())


@cache
def raised():
    """Return the names of the counters that the code adds to or computes, in Python or SQL."""
    found = set()
    for node in (node for tree in trees() for node in ast.walk(tree)):
        if isinstance(node, ast.AugAssign) and isinstance(node.op, ast.Add):
            found.add(getattr(node.target, "attr", getattr(node.target, "id", "")))
        elif isinstance(node, ast.FunctionDef):  # a property that is made of others
            found.add(node.name)
        elif isinstance(node, ast.Dict):  # outcome: the counter that is raised for it
            found |= {one.value for one in node.values if isinstance(one, ast.Constant)}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found |= set(re.findall(r"\b(\w+_total) = \1 \+ ", node.value))
    return {name for name in found if str(name).endswith("_total")}


def by_stage(function):
    return pytest.mark.parametrize("row", STAGES, ids=lambda row: row[0])(function)


# -- stages --------------------------------------------------------------------------


def test_stages_have_names_of_their_own():
    names = [row[0] for row in STAGES]
    assert len(names) >= 60
    assert len(names) == len(set(names))


@by_stage
def test_stage_names_its_file_and_a_test_that_proves_it(row):
    _, file, promise, loss, test = row
    assert re.fullmatch(r"`[\w/]+\.py`", file) and (ROOT / file.strip("`")).is_file()
    assert re.fullmatch(r"`tests/[\w/]+/test_\w+\.py`", test), "a test file, as pytest finds it"
    tree = parsed(test.strip("`"))
    assert any(
        isinstance(node, ast.FunctionDef) and node.name.startswith("test_") for node in tree.body
    )
    assert promise and loss


@cache
def imported(path):
    """Return the paths of those modules of this repository that a file imports."""
    source = (ROOT / path).read_text(encoding="utf-8")
    return set().union(*(paths_of(name) for _, name, _ in test_tidy.Module(path, source).imports))


def paths_of(name):
    """Return the paths of a name with dots: of packages, modules, and where it is made."""
    parts, found = name.split("."), set()
    for count in range(1, len(parts) + 1):
        for root in IMPORTED_FROM:
            base = f"{root}/{'/'.join(parts[:count])}"
            found |= {
                one for one in (f"{base}.py", f"{base}/__init__.py") if (ROOT / one).is_file()
            }
    for package in [one for one in found if one.endswith("/__init__.py")]:
        source = (ROOT / package).read_text(encoding="utf-8")
        for _, other, _ in test_tidy.Module(package, source).imports:
            if other.split(".")[-1] == parts[-1] and other != name:
                found |= paths_of(other)
    return found


def reached(test):
    """Return what a test imports, itself and by those rigs of the tests that it imports."""
    own = imported(test)
    return own.union(*(imported(one) for one in own if one.startswith("tests/")))


def is_proved(row):
    name, path, test = row[0], row[1].strip("`"), row[4].strip("`")
    if name in THROUGH:
        return path in imported(THROUGH[name]) and THROUGH[name] in reached(test)
    if name in FROM_OUTSIDE:
        return FROM_OUTSIDE[name] in (ROOT / test).read_text(encoding="utf-8")
    return path in reached(test)


@by_stage
def test_proving_test_reaches_the_stage(row):
    assert is_proved(row), f"{row[4]} does not import {row[1]}; or see THROUGH, FROM_OUTSIDE"
    if row[0] in {*THROUGH, *FROM_OUTSIDE}:
        assert row[1].strip("`") not in reached(row[4].strip("`")), "it is no exception"


def test_exceptions_are_stages():
    assert {*THROUGH, *FROM_OUTSIDE} <= {row[0] for row in STAGES}
    assert not THROUGH.keys() & FROM_OUTSIDE.keys()


def test_test_of_another_stage_proves_nothing():
    by_name = {row[0]: row for row in STAGES}
    for name, other in (("poll", "wire"), ("resume", "scrape"), ("spill", "buffer")):
        assert not is_proved([*by_name[name][:4], by_name[other][4]]), name


def files_of(row):
    """Return the stage's file, and those beside it that the row names."""
    path = row[1].strip("`")
    folder = path.rsplit("/", 1)[0]
    package = "/".join(path.split("/")[:2])
    found = [path]
    for name in re.findall(r"`([\w/]+\.py)`", row[2] + row[3]):
        places = [one for one in (folder, package) if (ROOT / one / name).is_file()]
        assert places, f"{name} is neither in {folder} nor in {package}"
        found.append(f"{places[0]}/{name}")
    return found


@by_stage
def test_counters_of_a_stage_are_in_its_code(row):
    own = files_of(row)
    for name in re.findall(r"`(\w+_total)`", row[2] + row[3]):
        in_code = any(name in identifiers(path) for path in own)
        assert in_code or name in reported(), f"{name}: neither in {own} nor in {REPORTS}"


@cache
def reported():
    """Return {key: counter} of what the agent reports of its parts."""
    return {
        key.value: one.attr
        for path in REPORTS
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Dict)
        for key, value in zip(node.keys, node.values, strict=True)
        for one in ast.walk(value)
        if isinstance(key, ast.Constant)
        and isinstance(one, ast.Attribute)
        and one.attr.endswith("_total")
    }


def test_counters_of_the_stages_are_raised_somewhere():
    for row in STAGES:
        for name in re.findall(r"`(\w+_total)`", row[2] + row[3]):
            assert {name, reported().get(name)} & raised(), f"{name} of {row[0]}"


# -- losses --------------------------------------------------------------------------


def counters_of_metrics():
    keys = {f"{one.area}.{one.key}" for one in FIGURES if one.kind == COUNTER}
    return {re.sub(r"^(sinks\.attempts)\..*", r"\1", key) for key in keys}


def test_each_counter_of_the_metrics_is_a_loss_or_is_not():
    assert not LOSSES & NO_LOSSES
    assert counters_of_metrics() == LOSSES | NO_LOSSES


@pytest.mark.parametrize("key", sorted(LOSSES))
def test_each_loss_is_in_the_row_of_a_stage(key):
    name = key.split(".")[1]
    told = {one for row in STAGES for one in re.findall(r"`(\w+_total)`", row[3])}
    assert {name, IN_STAGES.get(name)} & told, f"{key}: which stage loses that?"


# -- files ---------------------------------------------------------------------------


def modules(folder):
    return sorted(
        path.stem
        for path in (ROOT / folder).glob("*.py")
        if not path.stem.startswith(("__", "test_"))
    )


def words(text):
    return re.findall(r"`([\w/.]+)`", text)


def placed(word, packages):
    """Return the package of a word in a list, and what it is called there."""
    for package in packages:
        own = package.split("/")[1] + "/"
        if word.startswith(own):
            return package, word.removeprefix(own)
    return packages[0], word


def listed():
    """Return the paths, without .py, of the modules and folders that the lists name."""
    found = set()
    for title, packages in LISTS.items():
        for first, *others in rows(section(title)):
            if title.startswith("The link"):  # its second column has files, too
                first, others = f"{first} {others[0]}", others[1:]
            for word in words(first):
                package, name = placed(word, packages)
                path = f"{package}/{name}".rstrip("/")
                is_there = (ROOT / path).is_dir() or (ROOT / f"{path}.py").is_file()
                assert is_there, f"{word} of {title}: there is no {path}"
                assert (ROOT / path).is_dir() or not word.endswith("/"), word
                found.add(path)
                base = path if word.endswith("/") else package
                found.update(f"{base}/{one}" for one in words(" ".join(others)))
    return found


def in_stages(stages=STAGES):
    return {path.removesuffix(".py") for row in stages for path in files_of(row)}


def folders():
    """Return the folders of the packages that have lists, but those that are exempt."""
    for package in sorted({one for packages in LISTS.values() for one in packages}):
        yield package
        for path in sorted((ROOT / package).rglob("*/")):
            name = path.relative_to(ROOT).as_posix()
            if modules(name) and name not in UNLISTED:
                yield name


def untold(folder, known):
    """Return the modules of a folder that are not among those that are known."""
    return [name for name in modules(folder) if f"{folder}/{name}" not in known]


@pytest.mark.parametrize("folder", list(folders()))
def test_each_module_is_found_by_its_name(folder):
    missing = untold(folder, listed() | in_stages())
    assert missing == [], f"{folder}: tell what these are for"


@by_stage
def test_stage_without_its_row_is_missed(row):
    path = row[1].strip("`")
    known = listed() | in_stages([one for one in STAGES if one is not row])
    is_missed = any(untold(folder, known) for folder in folders())
    is_elsewhere = path.removesuffix(".py") in known
    assert is_missed or is_elsewhere or path in IN_NO_LIST


def test_stages_that_are_in_no_list_have_their_rows():
    assert {row[1].strip("`") for row in STAGES} >= IN_NO_LIST


@pytest.mark.parametrize("folder", UNLISTED)
def test_folder_whose_files_are_not_listed_is(folder):
    assert folder in listed()


def test_paths_exist():
    for path in re.findall(r"`((?:host|tools|shared|firmware|tests)/[\w/.]+)`", TEXT):
        assert (ROOT / path).exists(), path


# -- arrows --------------------------------------------------------------------------

ARROWS = rows(TEXT.split("\n## ")[0])
OURS = [row[1].split("`")[1] for row in ARROWS]


def arrows():
    """Return {(folder, package that it imports)} of the first table."""
    found = set()
    for place, package, _, imports, _ in ARROWS:
        folder = place.strip("`") + package.split("`")[1] + "/"
        for part in imports.split(";"):
            inside, names = re.fullmatch(r"\s*(?:in `(\w+/)` also )?(.*)", part).groups()
            found |= {(folder + (inside or ""), name) for name in words(names) if name in OURS}
            if inside:
                found |= {(folder + inside, name) for one, name in set(found) if one == folder}
    return found


def allowed_by_tidy(folder, package):
    module = test_tidy.Module(f"{folder}x.py", f"import {package}\n")
    return not [complaint for rule in test_tidy.RULES for complaint in rule(module)]


def test_arrows_are_those_that_tidy_allows():
    drawn = arrows()
    for folder in {folder for folder, _ in drawn} | {
        f"{row[0].strip('`')}{one}/" for row in ARROWS for one in words(row[1])
    }:
        for package in set(OURS) - {folder.split("/")[1]}:
            assert ((folder, package) in drawn) == allowed_by_tidy(folder, package), (
                f"{folder} imports {package}"
            )


def test_each_arrow_is_used():
    for folder, package in arrows():
        paths = [path.relative_to(ROOT).as_posix() for path in (ROOT / folder).rglob("*.py")]
        found = (
            name
            for path in paths
            for _, name, _ in test_tidy.Module(path, (ROOT / path).read_text()).imports
        )
        assert any(name.split(".")[0] == package for name in found), f"{folder}: {package}"


# -- what is made of the code ----------------------------------------------------------


def test_states_of_a_link_are_those_of_the_code():
    assert generate_links_md.generate(TEXT) == TEXT, "make docs"
    for state in link_state.STATES:
        assert f" {state}" in generate_links_md.table_of(link_state.TABLE, link_state.STATES)


def test_sizes_of_the_core_are_those_of_today():
    told = re.search(r"planned: (\d+) kB .*?loads (\d+) kB .*?policy\s+(\d+) kB;", TEXT, re.DOTALL)
    try:
        figures = [
            *(core_size.mpy_bytes(), core_size.mpy_bytes_board_plain()),
            core_size.mpy_bytes_board(),
        ]
    except FileNotFoundError as error:
        pytest.skip(str(error))
    for kilobytes, (figure,) in zip(told.groups(), figures, strict=True):
        assert abs(int(kilobytes) - figure.values[0] / 1000) < 1, figure.name
