"""What two runs of the bench tell beside one another, and the ratchet: on made-up files."""

import json

import pytest
from pyv_edge_bench import bench_file, budgets, compare, ratchet
from pyv_edge_bench.bench_file import Bench
from pyv_edge_bench.figure import Figure, Measured

HERE = {"date": "today", "processor": "P", "cores": 2, "memory_mb": 900, "python": "3.11"}
FIXED = True


def figure(name, unit, values, goal=None, is_fixed=False, ceiling=None):
    goals = [budgets.parse(text) if text else None for text in (goal, ceiling)]
    return Figure(Measured(name, unit, values, is_fixed), goals[0], "make bench", goals[1])


def times(*values, goal=None):
    return figure("a.took_ms", "ms", values, goal)


def sizes(*values, goal=None):
    return figure("a.size", "bytes", values, goal)


def write(path, figures, **run):
    bench_file.write(path, Bench({**HERE, **run}, figures))
    return str(path)


# -- what has changed ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "is_changed"),
    [
        ((10, 11, 12, 13, 14), (15, 16, 17, 18, 19), True),
        ((10, 11, 12, 13, 15), (15, 16, 17, 18, 19), False),  # the ranges touch
        ((15, 16, 17, 18, 19), (10, 11, 12, 13, 14), True),
        ((10, 11, 12, 13, 14), (10, 11, 12, 13, 14), False),
        ((100.0,) * 5, (101.9,) * 5, False),  # apart, but less than 2 %
        ((100.0,) * 5, (102.1,) * 5, True),
        ((0,) * 5, (1,) * 5, True),
        ((0,) * 5, (0,) * 5, False),
        ((10,) * 9 + (90,), (20,) * 10, True),  # one pause in ten decides nothing
        ((10,) * 8 + (90,), (20,) * 9, False),  # one of nine may be noise
    ],
)
def test_a_figure_has_changed_if_its_ranges_are_apart(old, new, is_changed):
    assert compare.has_changed(times(*old), times(*new)) is is_changed


def test_what_never_varies_has_changed_if_it_differs():
    one, other = (figure("a", "bytes", [size], None, FIXED) for size in (10000, 10001))
    assert compare.has_changed(one, other) and not compare.has_changed(one, one)


def test_better_is_what_the_goal_says_else_the_next_of_kin_else_the_unit():
    goals = [figure("heap.free", "bytes", [1], ">= 1"), figure("heap", "bytes", [1], "<= 1")]
    for name, unit, good in (
        ("heap.free", "bytes", ">="),
        ("heap.free_all", "bytes", ">="),
        ("heap.all", "bytes", "<="),
        ("x", "bytes", "<="),
        ("x", "ms", "<="),
        ("x", "1/s", ">="),
        ("x", "ratio", ""),
    ):
        assert compare.direction(figure(name, unit, [1]), goals) == good, name
    low, high = times(1, 1, 1, 1, 1), times(2, 2, 2, 2, 2)
    assert compare.verdict(low, high, "<=") == compare.verdict(high, low, ">=") == "worse"
    assert compare.verdict(low, high, ">=") == compare.verdict(high, low, "<=") == "better"
    assert compare.verdict(low, high, "") == "changed"
    assert compare.verdict(low, low, "<=") == ""


def test_compare_lists_what_has_changed_and_fails_with_a_goal_that_got_worse(tmp_path, capsys):
    goal = "<= 100"
    old = write(
        tmp_path / "old.json",
        [
            sizes(10, 10, 10, 10, 10, goal=goal),
            figure("same", "ms", [1]),
            figure("gone", "ms", [1]),
        ],
    )
    worse = write(
        tmp_path / "worse.json",
        [
            sizes(15, 15, 15, 15, 15, goal=goal),
            figure("same", "ms", [1]),
            figure("new", "ms", [1]),
        ],
        date="tomorrow",
    )
    assert compare.main([old, worse]) == 1
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].split() == ["figure", "old", "new", "change", "unit"]
    assert printed[1].split() == ["a.size", "10", "15", "+50.0", "%", "bytes", "worse"]
    assert printed[2:] == [
        "1 figures have not changed beyond the spread of their repeats.",
        "only in the old file: gone",
        "only in the new file: new",
        "These fail: a.size.",
    ]
    assert compare.main([worse, old]) == 0, "better"
    free = [write(tmp_path / f"{n}.json", [sizes(n, n, n, n, n)]) for n in (10, 15)]
    assert compare.main(free) == 0, "worse, but no goal is set"
    assert "worse" in capsys.readouterr().out


MACHINE_TOO = "of the machine too"


@pytest.mark.parametrize(
    ("unit", "is_deciding"),
    [
        *((unit, False) for unit in ("us", "ms", "s", "cpu s", "1/s", "1/min", "1/cpu s")),
        ("percent", False),
        *((unit, True) for unit in ("ratio", "of the line", "bytes", "kB", "MB", "commits")),
        *((unit, True) for unit in ("readings", "faults", "threads", "descriptors")),
    ],
)
def test_times_and_rates_decide_nothing_by_having_changed(tmp_path, capsys, unit, is_deciding):
    old, new = (write(tmp_path / str(n), [figure("a", unit, [n] * 5, "<= 100")]) for n in (10, 15))
    assert compare.main([old, new]) == int(is_deciding)
    printed = capsys.readouterr().out
    assert f"  worse, {MACHINE_TOO}\n" in printed or is_deciding
    assert ("Of the machine too: " in printed) is not is_deciding
    assert ("These fail: a.\n" in printed) is is_deciding
    assert compare.main([new, old]) == 0


def test_times_and_rates_that_moved_stand_below_what_decides(tmp_path, capsys):
    old, new = (
        write(tmp_path / str(n), [times(n, n, n, n, n), sizes(n, n, n, n, n)]) for n in (10, 15)
    )
    assert compare.main([old, new]) == 0
    rows = capsys.readouterr().out.splitlines()[:4]
    assert [row.split()[0] for row in rows] == ["figure", "a.size", "a.took_ms", "Of"]


@pytest.mark.parametrize(
    ("old", "new", "status", "note"),
    [
        ([90] * 5, [150] * 5, 1, "worse, its goal is met no more"),
        ([80, 90, 99, 110, 120], [80, 90, 101, 110, 120], 1, "within the spread, its goal is"),
        ([101] * 5, [150] * 5, 0, f"worse, {MACHINE_TOO}"),  # was missed before
        ([150] * 5, [90] * 5, 0, f"better, {MACHINE_TOO}"),
        ([90] * 4, [150] * 4, 0, "worse, of too few repeats"),
    ],
)
def test_a_goal_that_is_met_no_more_fails_whatever_its_unit(
    tmp_path, capsys, old, new, status, note
):
    pair = [
        write(tmp_path / name, [times(*values, goal="<= 100")])
        for name, values in (("old", old), ("new", new))
    ]
    assert compare.main(pair) == status
    assert note in capsys.readouterr().out.splitlines()[1]
    other = write(tmp_path / "other", [times(*new, goal="<= 100")], processor="Q")
    assert compare.main([pair[0], other]) == 0, "times of two machines"


def losses(*values, goal="<= 0"):
    return figure("a.lost", "readings", values, goal)


def test_a_loss_in_one_repeat_is_a_change_where_there_must_be_none(tmp_path, capsys):
    none, once, twice = losses(0, 0, 0, 0, 0), losses(0, 1, 0, 0, 0), losses(0, 0, 2, 0, 2)
    assert compare.verdict(none, once, "<=") == compare.verdict(once, twice, "<=") == "worse"
    assert compare.verdict(twice, once, "<=") == compare.verdict(once, none, "<=") == "better"
    assert compare.verdict(once, losses(0, 0, 0, 0, 1), "<=") == ""
    free = (losses(0, 0, 0, 0, 0, goal=None), losses(0, 0, 0, 0, 9, goal=None))
    assert compare.verdict(*free, "<=") == "", "without a goal, noise is noise"
    old = write(tmp_path / "old.json", [losses(0, 0, 0, 0, 0, goal=None)])
    new = write(tmp_path / "new.json", [twice])
    assert compare.main([old, new]) == 1
    row = capsys.readouterr().out.splitlines()[1]
    assert row.split()[:5] == ["a.lost", "0", "2", "readings", "worse,"]
    assert row.endswith("worse, its goal is met no more")
    few = write(tmp_path / "few.json", [losses(0)])
    assert compare.main([few, new]) == 1, "a loss is one however few the repeats"


@pytest.mark.parametrize(
    ("goal", "skipped", "failed", "status", "line"),
    [
        ("<= 9", {}, {}, 1, "gone, which has a goal and was not measured"),
        ("<= 9", {}, {"gone": "boom"}, 1, "gone, which has a goal and has failed"),
        ("<= 9", {"gone": "no broker"}, {}, 0, "gone, now skipped: no broker"),
        (None, {}, {}, 0, "gone"),
    ],
)
def test_a_goal_that_is_gone_fails_unless_it_was_skipped(
    tmp_path, capsys, goal, skipped, failed, status, line
):
    gone = figure("gone", "ms", [1] * 5, goal)
    bench_file.write(tmp_path / "new.json", Bench(HERE, [], {}, skipped, failed))
    pair = [write(tmp_path / "old.json", [gone]), str(tmp_path / "new.json")]
    assert compare.main(pair) == status
    assert f"only in the old file: {line}\n" in capsys.readouterr().out
    assert compare.main(pair[::-1]) == 0, "what is new is not gone"


def test_times_of_another_machine_decide_nothing(tmp_path, capsys):
    fixed = [figure("a.bytes", "bytes", [n], "<= 100", FIXED) for n in (10, 20)]
    slow = times(20, 20, 20, 20, 20, goal="<= 100")
    old = write(tmp_path / "a", [times(10, 10, 10, 10, 10, goal="<= 100"), fixed[0]])
    new = write(tmp_path / "b", [slow, fixed[0]], processor="Q", python="3.12")
    assert compare.main([old, new]) == 0
    printed = capsys.readouterr().out
    assert "processor: P before, Q now\n" in printed
    assert "python: 3.11 before, 3.12 now\n" in printed
    assert "These are two machines" in printed
    assert "worse, on another machine" in printed
    assert compare.main([old, write(tmp_path / "c", [slow, fixed[1]], processor="Q")]) == 1
    capsys.readouterr()
    assert compare.main([old, write(tmp_path / "d", [slow, fixed[0]], python="3.12")]) == 0
    printed = capsys.readouterr().out
    assert f"worse, {MACHINE_TOO}" in printed, "one machine"
    assert "two machines" not in printed


def test_too_few_repeats_decide_nothing(tmp_path, capsys):
    old, new = (write(tmp_path / str(n), [times(*[n] * 4, goal="<= 100")]) for n in (10, 20))
    assert compare.main([old, new]) == 0
    assert "worse, of too few repeats" in capsys.readouterr().out


def test_another_unit_is_told_and_not_compared(tmp_path, capsys):
    old = write(tmp_path / "a", [figure("a", "ms", [1] * 5, "<= 2")])
    new = write(tmp_path / "b", [figure("a", "us", [1000] * 5, "<= 2")])
    assert compare.main([old, new]) == 0
    assert "other unit" in capsys.readouterr().out


# -- the file ------------------------------------------------------------------------


def test_what_is_written_is_read_again(tmp_path):
    path = tmp_path / "folder" / "bench.json"
    figures = [
        figure("a", "ratio", [1.5, 2, 2.5, 3, 4], ">= 1", ceiling=">= 1.25"),
        figure("b", "bytes", [7], None, FIXED),
    ]
    bench_file.write(path, Bench(HERE, figures, {"a": 1.5}, {"c": "no c"}, {"d": "broken"}))
    read = bench_file.read(path)
    assert (read.run, read.figures) == (HERE, figures)
    assert (read.skipped, read.failed) == ({"c": "no c"}, {"d": "broken"})
    content = json.loads(path.read_text())
    assert content["took_s"] == {"a": 1.5}
    assert content["skipped"] == [{"name": "c", "reason": "no c"}]
    assert content["failed"] == [{"name": "d", "reason": "broken"}]


ONE = figure("a", "ms", [1]).as_json()


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (None, "No such file"),
        ("", "is no JSON"),
        ("\xff", "is no JSON"),
        (json.dumps([ONE]), "is no bench.json of this bench: it is no object; "),
        ("1", "it is no object"),
        (json.dumps({"run": {}, "figures": {"a": ONE}}), "figures is no list of objects"),
        (json.dumps({"run": {}, "figures": 1}), "figures is no list of objects"),
        (json.dumps({"run": {}, "figures": ["a"]}), "figures is no list of objects"),
        (json.dumps({"run": {}, "figures": [{**ONE, "values": 1}]}), "values have to be a list"),
        (json.dumps({"run": {}, "figures": [{**ONE, "goal": 1}]}), "1 is no goal"),
        (json.dumps({"figures": [ONE]}), "lacks 'run'"),
        (json.dumps({"run": [], "figures": [ONE]}), "run is no object"),
        (json.dumps({"run": {}, "figures": [{**ONE, "values": []}]}), "values"),
        (json.dumps({"run": {}, "figures": [{**ONE, "values": ["1"]}]}), "values"),
        (json.dumps({"run": {}, "figures": [{**ONE, "values": [float("nan")]}]}), "finite"),
        (json.dumps({"run": {}, "figures": [{**ONE, "goal": "< 1"}]}), "is no goal"),
        (json.dumps({"run": {}, "figures": [{**ONE, "name": 1}]}), "texts"),
        (json.dumps({"run": {}, "figures": [{"name": "a"}]}), "lacks 'unit'"),
        (json.dumps({"run": {}, "figures": [ONE]}), "lacks 'skipped'"),
        (
            json.dumps({"run": {}, "figures": [], "skipped": [], "failed": ["a"]}),
            "failed is no list",
        ),
        (json.dumps({"run": {}, "figures": [], "skipped": [], "failed": [{}]}), "lacks 'name'"),
    ],
)
def test_a_file_that_is_of_no_use_is_one_line(tmp_path, capsys, content, what):
    good, path = write(tmp_path / "good.json", [times(1)]), tmp_path / "bad.json"
    if content is not None:
        path.write_text(content, encoding="latin-1")
    for pair in ([good, str(path)], [str(path), good]):
        assert compare.main(pair) == 2
        printed = capsys.readouterr()
        assert printed.out == ""
        (line,) = printed.err.splitlines()
        assert line.startswith(f"{path}: ") and what in line and "`make bench`" in line


# -- the ratchet ---------------------------------------------------------------------

BUDGETS = """# About goals.
[budgets]
# Size.
"a.bytes" = "<= 1000"
# Heap.
"a.free_bytes" = ">= 1000"
# Against a rival.
"a.ratio" = ">= 0.5"
# Missed.
"a.big_bytes" = "<= 10"
# A time.
"a.took_ms" = "<= 100"
# Of theirs.
"a.share" = "<= 0.5"

[ceilings]
# For want of time.
"a.big_bytes" = "<= 5000"
"""


NAMES = ("bytes", "free_bytes", "ratio", "big_bytes", "took_ms", "share")


def turn(tmp_path, *figures, text=None):
    """Let the ratchet see these figures; return its status and the file."""
    path = tmp_path / "budgets.toml"
    if text is not None:
        path.write_text(text)
    found = write(tmp_path / "bench.json", list(figures))
    words = ["--json", found, "--budgets", str(path)]
    status = ratchet.main(words, [f"a.{name}" for name in NAMES])
    return status, path.read_text()


def test_the_ratchet_tightens_a_ceiling_and_keeps_all_else(tmp_path, capsys):
    big = figure("a.big_bytes", "bytes", [4001], "<= 10", FIXED)
    status, text = turn(tmp_path, big, text=BUDGETS)
    assert status == 0
    assert text == BUDGETS.replace("<= 5000", "<= 4082")  # 2 % more, rounded up
    assert "a.big_bytes: <= 4082, was <= 5000\n" in capsys.readouterr().out
    assert turn(tmp_path, big) == (0, text), "again: nothing"


def test_the_ratchet_begins_a_ceiling_where_a_goal_is_met_with_room(tmp_path):
    status, text = turn(
        tmp_path,
        figure("a.bytes", "bytes", [500, 510, 490, 505, 495], "<= 1000"),
        figure("a.free_bytes", "bytes", [2001], ">= 1000", FIXED),
        figure("a.ratio", "ratio", [1.0, 0.8, 0.9, 1.1, 1.2], ">= 0.5"),
        text=BUDGETS,
    )
    assert status == 0 and text.startswith(BUDGETS)
    comment = "\n# Meets its goal, and gets no worse than it was.\n"
    assert text[len(BUDGETS) :] == (
        f'{comment}"a.bytes" = "<= 520"\n'  # the worst, and 2 % of the median
        f'{comment}"a.free_bytes" = ">= 1960"\n'
        f'{comment}"a.ratio" = ">= 0.7"\n'
    )
    path = tmp_path / "budgets.toml"
    assert budgets.load(path) == budgets.load(path, "budgets")
    assert str(budgets.load(path, "ceilings")["a.ratio"]) == ">= 0.7"


@pytest.mark.parametrize(
    "one",
    [
        figure("a.big_bytes", "bytes", [6000], "<= 10", FIXED),  # got worse
        figure("a.big_bytes", "bytes", [4950], "<= 10", FIXED),  # better by less than the room
        figure("a.bytes", "bytes", [2000], "<= 1000", FIXED),  # misses its goal: by hand
        figure("a.bytes", "bytes", [990], "<= 1000", FIXED),  # as near as the room
        figure("a.bytes", "bytes", [1] * 4, "<= 1000"),  # too few repeats
        figure("a.took_ms", "ms", [1] * 5, "<= 100"),  # a time
        figure("a.share", "ratio", [0.0] * 5, "<= 0.5"),  # nothing was measured
        figure("a.share", "ratio", [0.1, 0.1, 0.1, 0.1, 0], "<= 0.5"),  # in one of them
        figure("a.share", "of the line", [0] * 5, "<= 0.5"),
        figure("a.ratio", "ratio", [0.1] * 5, "<= 0.5"),  # the goal was the other way round
        figure("b.bytes", "bytes", [1], "<= 1000", FIXED),  # no goal any more
        figure("a.bytes", "bytes", [1], None, FIXED),
    ],
)
def test_the_ratchet_loosens_nothing_and_takes_no_times(tmp_path, one):
    assert turn(tmp_path, one, text=BUDGETS) == (0, BUDGETS)


def test_the_ratchet_tells_of_a_ratio_of_nothing(tmp_path, capsys):
    share = figure("a.share", "ratio", [0.0] * 5, "<= 0.5")
    assert turn(tmp_path, share, text=BUDGETS) == (0, BUDGETS)
    printed = capsys.readouterr().out
    assert "a.share is 0: nothing was measured, so it gets no ceiling\n" in printed


def test_the_ratchet_never_loosens_whatever_it_is_given(tmp_path):
    text = BUDGETS
    for size in (900, 300, 2000, 500, 299, 1):
        _, after = turn(tmp_path, figure("a.bytes", "bytes", [size], "<= 1000", FIXED), text=text)
        path = tmp_path / "budgets.toml"
        new = budgets.load(path, "ceilings").get("a.bytes", budgets.load(path)["a.bytes"])
        path.write_text(text)
        old = budgets.load(path, "ceilings").get("a.bytes", budgets.load(path)["a.bytes"])
        assert new.limit <= old.limit
        text = after
    assert '"a.bytes" = "<= 1.02"' in text


def test_the_ratchet_refuses_what_it_can_not_edit(tmp_path, capsys):
    big = figure("a.big_bytes", "bytes", [4000], "<= 10", FIXED)
    for text, what in (
        ("[ceilings]\n" + BUDGETS.partition("\n[ceilings]")[0], "the last table has to be"),
        (BUDGETS + "[other]\n", "[other] is a table that nobody reads"),
        (BUDGETS.replace('es" = "<= 5', 'es" =   "<= 5'), "on a line of its own"),
        (BUDGETS.partition("\n[ceilings]")[0], "the last table"),
    ):
        assert turn(tmp_path, big, text=text) == (2, text)
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"{tmp_path / 'budgets.toml'}: ") and what in line
    path = tmp_path / "budgets.toml"
    turn(tmp_path, big, text=BUDGETS)
    for content, what in (("[ceilings", "is no TOML, mend it: "), (None, "No such file")):
        path.unlink()
        if content is not None:
            path.write_text(content)
        found = str(tmp_path / "bench.json")
        capsys.readouterr()
        assert ratchet.main(["--json", found, "--budgets", str(path)]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"{path}: {what}")
    (tmp_path / "bench.json").write_text("[]")
    assert ratchet.main(["--json", str(tmp_path / "bench.json")]) == 2


def test_the_project_s_own_file_can_be_tightened():
    text, step = budgets.PATH.read_text(), ratchet.Step("x", None, budgets.parse("<= 1"))
    assert ratchet.rewritten(text, []) == text
    assert ratchet.rewritten(text, [step]).startswith(text)
