"""Tables of the comparison, from made-up figures; and the record that documents are made of."""

import generate_benchmarks_md
from comparison_tables import PEERS, ROWS, goals, in_short, limits, number, side_by_side
from pyv_edge_bench import bench_file, budgets
from pyv_edge_bench.figure import Figure, Measured
from pyv_edge_bench.peers import comparison


def figure(name, *values, unit="ratio", goal=None):
    limit = None if goal is None else budgets.parse(goal)
    return Figure(Measured(name, unit, values), limit, f"make bench NAMES={name}")


def of_peer(name, *values):
    return [figure(f"peer.{name}.{key}", *values) for key in ROWS]


def lines(made):
    return [
        [cell.strip() for cell in one.strip("|").split("|")] for one in made.split("\n") if one
    ]


def test_numbers_have_three_digits_that_mean_something():
    shown = {0: "0", 7: "7", 4000: "4,000", 0.12345: "0.123", 41.26: "41.3", 8298.0: "8,300"}
    assert {value: number(value) for value in shown} == shown


def test_a_peer_has_a_column_and_one_that_was_not_measured_has_none():
    made = lines(side_by_side([*of_peer("tb", 1.0, 2.0, 4.5), *of_peer("ours_mqtt", 3, 3, 3)]))
    assert made[0] == ["", PEERS["ours_mqtt"], PEERS["tb"]]
    assert [row[0] for row in made[2:]] == list(ROWS.values())
    assert all(row[1:] == ["3", "2 (1 to 4.5)"] for row in made[2:])


def test_in_short_losses_keep_their_range():
    made = {row[0]: row[1] for row in lines(in_short(of_peer("nodered", 1, 20, 300)))[2:]}
    assert made[ROWS["lost_kill"]] == "20 (1 to 300)"
    assert made[ROWS["rss_mb"]] == "20"


def test_a_goal_that_is_missed_says_so():
    figures = [
        figure("a.good", 1.0, 2.0, goal="<= 2"),
        figure("a.bad", 3.0, goal="<= 2"),
        figure("a.free", 9.0),
        figure("b.good", 1.0, goal=">= 1"),
    ]
    made = lines(goals(figures, "a."))[2:]
    assert [(row[0], row[-1]) for row in made] == [("`a.good`", "yes"), ("`a.bad`", "**no**")]
    assert len(lines(goals(figures))[2:]) == 3


def test_limits_are_readings_a_second():
    names = {
        "e2e.bare_sqlite_us": 1.0,
        "e2e.bare_loop_us": 1.25,
        "e2e.wire_us": 2.0,
        "store.pipeline_us": 0.5,
        "store.commit_us": 1.5,
        "link.decode_us.bare": 1.0,
        "link.decode_us.path": 4.0,
        "adapter.mqtt_dropped_per_s": 40_000.0,
        "adapter.mqtt_stored_per_s": 20_000.0,
    }
    rows = lines(limits([figure(name, value) for name, value in names.items()]))[2:]
    assert [row[1:] for row in rows] == [
        ["1,000,000", "500,000"],
        ["800,000", "500,000"],
        ["16,000,000", "4,000,000"],
        ["40,000", "20,000"],
    ]


def test_the_record_has_every_peer_and_every_goal():
    found = {one.measured.name for one in bench_file.read(generate_benchmarks_md.BENCH).figures}
    # Memory at a pace is measured since that record was made.
    assert {name for name in comparison.names() if ".rss_live_" not in name} <= found
    assert set(budgets.load()) <= found


def test_every_row_is_of_a_figure_that_is_measured():
    keys = {name.split(".")[2] for name in comparison.names() if ".ours_mqtt." in name}
    assert set(ROWS) <= keys
    assert set(PEERS) == {entry.peer.name for entry in comparison.entries()}
