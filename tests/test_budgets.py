"""What never varies keeps within tools/budgets.toml; the measuring itself is checked too.

Times are for `make bench`: no test asserts one.
"""

import json
import subprocess
import sys

import pytest
from interpreter import ROOT, find_program
from pyv_edge_bench import (
    budgets,
    bytecode,
    cli_start,
    core_path,
    core_size,
    registry,
    simulation,
    workload,
)
from pyv_edge_bench.__main__ import main
from pyv_edge_bench.figure import Figure, Measured, table

MODULES = sorted(path.stem for path in bytecode.CORE.rglob("*.py"))
KEYS = {"name", "value", "unit", "goal", "ok", "median", "min", "max", "command"}
LARGER = "make it smaller, or raise the budget and say why in the commit"


def keep(budget, what, size_bytes, remedy):
    problem = budgets.overrun(budget, what, size_bytes, remedy)
    if problem:
        pytest.fail(problem)


@pytest.fixture(scope="module")
def sizes():
    find_program("mpy-cross")
    return core_size.core_sizes()


@pytest.fixture(scope="module")
def footprint():
    find_program("mpy-cross")
    find_program("micropython", "PYV_MICROPYTHON")
    return core_size.footprint()


# -- the budgets ---------------------------------------------------------------------


@pytest.mark.parametrize("name", MODULES)
def test_each_module_of_the_core_fits(name, sizes):
    module = "pyv_edge_core" if name == "__init__" else f"pyv_edge_core.{name}"
    keep("core.mpy_module_bytes", f"{module} as bytecode", sizes[module], "split the module")


def test_the_core_fits(sizes):
    assert len(sizes) == len(MODULES)
    keep("core.mpy_bytes", "pyv_edge_core as bytecode", sum(sizes.values()), LARGER)


def test_the_node_leaves_enough_heap(footprint):
    keep(
        "core.heap_free_bytes",
        "heap left with pyv_edge_node.app, rules and privacy imported",
        footprint["heap_free"],
        "import later, make modules smaller, or lower the budget and say why in the commit",
    )


def test_a_board_imports_a_part_of_the_core(footprint, sizes):
    imported = footprint["board_modules"]
    assert {"pyv_edge_core.record_ring", "pyv_edge_core.device_session"} <= set(imported)
    assert "pyv_edge_core.host_session" not in imported, "a board has no use for the host's end"
    assert set(imported) < set(sizes)


def test_a_board_without_rules_and_privacy_does_not_load_them(footprint, sizes):
    plain = set(footprint["plain_modules"])
    assert plain < set(footprint["board_modules"])
    for name in ("rule", "alert", "condition", "privacy", "table", "quantity", "window", "hmac"):
        assert f"pyv_edge_core.{name}" not in plain, name
    keep(
        "core.mpy_bytes_board_plain",
        "what a plain board imports of pyv_edge_core",
        sum(sizes[name] for name in plain),
        LARGER,
    )
    assert footprint["heap_free_plain"] > footprint["heap_free"] > footprint["heap_free_all"]


def test_a_broken_budget_says_what_to_do(tmp_path):
    path = tmp_path / "tools" / "budgets.toml"
    path.parent.mkdir()
    path.write_text('[budgets]\n"a.module_bytes" = "<= 4096"\n')
    assert budgets.overrun("a.module_bytes", "ring", 4096, "split the module", path) == ""
    assert budgets.overrun("a.module_bytes", "ring", 4097, "split the module", path) == (
        "ring: 4097 bytes, and tools/budgets.toml allows <= 4096 (a.module_bytes):"
        " split the module"
    )


def test_a_ceiling_stands_for_a_goal_that_is_missed(tmp_path):
    path = tmp_path / "tools" / "budgets.toml"
    path.parent.mkdir()
    path.write_text('[budgets]\n"a.bytes" = "<= 10"\n[ceilings]\n"a.bytes" = "<= 20"\n')
    assert budgets.overrun("a.bytes", "ring", 20, "", path) == ""
    assert "allows <= 20" in budgets.overrun("a.bytes", "ring", 21, "", path)
    for name, ceiling in budgets.load(table="ceilings").items():
        assert not budgets.load()[name].is_met(ceiling.limit), f"{name}: met by now: no ceiling"


# -- their file ----------------------------------------------------------------------


def test_every_budget_is_of_a_figure_and_has_a_comment():
    assert set(budgets.load()) <= set(registry.FIGURES), "a budget that nothing measures"
    lines = budgets.PATH.read_text().splitlines()
    for index, line in enumerate(lines):
        if line.startswith('"'):
            assert lines[index - 1].startswith("# "), f"{line}: say in a comment what it is for"


def test_goals_are_read_with_their_direction():
    for text, good, bad in (("<= 1.5", (0, 1.5), (1.51, 9)), (">= 98304", (98304, 1e9), (0,))):
        goal = budgets.parse(text)
        assert str(goal) == text
        assert all(goal.is_met(value) for value in good), text
        assert not any(goal.is_met(value) for value in bad), text
    assert str(budgets.parse("<= 123456789")) == "<= 123456789"


def test_what_is_no_goal_is_refused_with_its_name(tmp_path):
    path = tmp_path / "budgets.toml"
    for value in ('"< 5"', '"<= five"', '"<=5"', '""', "5"):
        path.write_text(f'[budgets]\n"a.b" = {value}\n')
        with pytest.raises(ValueError, match=r"a\.b: "):
            budgets.load(path)


# -- the bench -----------------------------------------------------------------------


def test_figures_are_chosen_by_name_or_by_the_start_of_it():
    assert registry.chosen([]) == list(registry.FIGURES)
    assert registry.chosen(["core.mpy_bytes"]) == ["core.mpy_bytes"]
    assert registry.chosen(["core.path_vs_json", "core"])[:3] == [
        "core.path_vs_json.micropython",
        "core.path_vs_json.cpython",
        "core.mpy_bytes",
    ]
    for word in ("core.mpy", "cor", "x"):
        with pytest.raises(KeyError, match=word):
            registry.chosen([word])


def test_a_figure_is_the_median_beside_its_goal():
    measured = Measured("a.b", "ratio", [1.0, 9.0, 1.25, 1.5, 1.23456789])
    figure = Figure(measured, budgets.parse("<= 1.2"), "make bench NAMES=a.b")
    assert figure.as_json() == {
        "name": "a.b",
        "value": 1.25,
        "unit": "ratio",
        "goal": "<= 1.2",
        "ok": False,
        "median": 1.25,
        "min": 1.0,
        "max": 9.0,
        "command": "make bench NAMES=a.b",
    }
    free = Figure(Measured("a.c", "bytes", [7]), None, "make bench NAMES=a.c")
    assert (free.as_json()["goal"], free.is_ok) == (None, True)
    assert [line.split() for line in table([figure, free]).splitlines()] == [
        ["figure", "median", "min", "max", "unit", "goal"],
        ["a.b", "1.250", "1.000", "9.000", "ratio", "<=", "1.2", "NOT", "OK"],
        ["a.c", "7", "7", "7", "bytes"],
    ]


def test_a_ratio_is_of_pairs_measured_side_by_side():
    lines = []
    for path_us, json_us in ((300, 200), (900, 600), (400, 800)):  # the machine was slow once
        lines.append({"part": "path", "count": 100, "us": path_us})
        lines.append({"part": "json", "count": 50, "us": json_us})
    ratio, path, json_part = core_path.measured("x", lines)
    assert (ratio.name, ratio.values) == ("core.path_vs_json.x", [0.75, 0.75, 0.25])
    assert (path.name, path.values) == ("core.path_us.x.path", [3, 9, 4])
    assert (json_part.name, json_part.values) == ("core.path_us.x.json", [4, 12, 16])
    with pytest.raises(ValueError, match="zip"):
        core_path.measured("x", lines[:-1])


def test_a_start_is_measured_beside_that_of_a_bare_python():
    ratio, took_ms = cli_start.measured("help", [(0.02, 0.01), (0.09, 0.03)])
    assert (ratio.name, ratio.values) == ("cli.start_ratio.help", [2, 3])
    assert took_ms.values == [20, 90]
    with pytest.raises(RuntimeError, match="boom"):
        cli_start._seconds([sys.executable, "-c", "raise RuntimeError('boom')"])


@pytest.mark.parametrize("run", [workload.on_micropython, workload.on_cpython])
def test_the_path_is_timed_part_by_part_in_turn(run, tmp_path):
    find_program("mpy-cross")
    find_program("micropython", "PYV_MICROPYTHON")
    lines = run("reading_path", 2, 1, folder=tmp_path)
    parts = [line["part"] for line in lines]
    assert parts[: len(parts) // 2] == parts[len(parts) // 2 :]
    assert parts[:2] == ["path", "json"]
    assert {"sampler", "push", "frame", "loop"} < set(parts)
    assert all(line["count"] >= 16 and line["us"] >= 0 for line in lines)


def test_the_simulation_is_measured_in_readings_and_time():
    (line,) = simulation.play(1)
    assert line["readings"] > 50_000 and line["s"] > 0 and line["faults"] > 0
    rate, faults = simulation.measured([{"readings": 1000, "s": 0.5, "faults": 7}])
    assert (rate.name, rate.values) == ("sim.readings_per_minute", [120_000])
    assert faults.values == [7]


def test_a_workload_that_fails_is_an_error(tmp_path):
    with pytest.raises(RuntimeError, match="ValueError"):
        workload.on_cpython("reading_path", "two", folder=tmp_path)


def test_bench_prints_a_table_and_writes_json(tmp_path, capsys):
    find_program("mpy-cross")
    path = tmp_path / "build" / "bench.json"
    status = main(["--json", str(path), "core.mpy_bytes"])
    (figure,) = json.loads(path.read_text())
    assert set(figure) == KEYS
    assert figure["name"] == "core.mpy_bytes"
    assert figure["ok"] is (status == 0)
    assert figure["command"] == "make bench NAMES=core.mpy_bytes"
    assert str(figure["value"]) in capsys.readouterr().out


def test_bench_fails_when_a_goal_is_missed(tmp_path, capsys):
    measured = [Measured("core.mpy_bytes", "bytes", [24577])]
    runs = {"core.mpy_bytes": lambda: measured}
    assert main(["--json", str(tmp_path / "bench.json"), "core.mpy_bytes"], runs) == 1
    assert "core.mpy_bytes misses its goal" in capsys.readouterr().out


def test_bench_refuses_a_name_that_is_no_figure():
    done = subprocess.run(
        [sys.executable, "-m", "pyv_edge_bench", "core.nothing"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "core.nothing" in done.stderr
    assert "core.mpy_bytes" in done.stderr
