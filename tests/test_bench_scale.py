"""What is measured of scale: each axis gives its points, they are drawn and written down.

Costs are for `make bench NAMES=scale`: no test asserts one.
"""

import json

import generate_benchmarks_md
import pytest
from pyv_edge_bench import child, plots, scale
from pyv_edge_bench.figure import Measured
from pyv_edge_bench.scale import Point

FIGURES = {
    axis: {figure for figure, _ in columns}
    for axis, (_, columns) in generate_benchmarks_md.TABLES.items()
}
FIGURES["fleet"] = {
    "mqtt_connection_kb",
    "nats_connection_kb",
    "nats_stored_bytes_per_reading",
} | {
    f"{name}_{figure}"
    for name in generate_benchmarks_md.SINKS
    for figure in ("up_bytes", "down_bytes", "server_cpu_ms_per_1000")
}


def made_up(axis, places):
    """Return points of all figures of an axis, each the double of the one before."""
    return [
        Point(axis, figure, "ms", x, 10.0 * 2**place, 9.0 * 2**place, 12.0 * 2**place)
        for figure in sorted(FIGURES[axis])
        for place, x in enumerate(places)
    ]


# -- measured --------------------------------------------------------------------------


@pytest.mark.parametrize("axis", ["devices", "channels", "stored", "backlog", "fleet"])
def test_smallest_selection_gives_points(axis):
    try:
        points = scale.points_of(child.measured(f"scale_{axis}_small"))
    except FileNotFoundError as error:
        pytest.skip(str(error))
    assert {one.axis for one in points} == {axis}
    assert {one.figure for one in points} >= FIGURES[axis]
    assert all(one.low <= one.median <= one.high for one in points)


def test_every_axis_is_a_measurement():
    assert set(plots.PLOTS) | {"fleet"} == set(FIGURES)
    assert all(callable(getattr(scale, axis)) for axis in FIGURES)


# -- points ----------------------------------------------------------------------------


def test_figure_is_a_point_of_its_axis():
    figures = [
        Measured("scale.devices.rss_mb.64", "MB", [3.0, 1.0, 2.00004]),
        Measured("scale.fleet.mqtt_connection_kb", "kB", [7]),
    ]
    assert scale.points_of(figures) == [
        Point("devices", "rss_mb", "MB", 64, 2.0, 1.0, 3.0),
        Point("fleet", "mqtt_connection_kb", "kB", None, 7.0, 7.0, 7.0),
    ]


def test_stored_readings_are_extrapolated_on_a_line():
    def line(axis, figure, *medians):
        return [
            Point(axis, figure, "ms", 10**place, value, value, value)
            for place, value in enumerate(medians)
        ]

    points = [
        *line("stored", "verify_ms", 5.0, 10.0, 100.0),
        *line("stored", "commit_us", 3.0, 2.0, 2.0),
        *line("stored", "chart_30d_ms", 1.0, 10.0, 100.0),  # no further than a month
        *line("backlog", "opened_ms", 1.0, 10.0),
        *line("stored", "backup_ms", 9.0, 8.0),  # falls
        *line("stored", "open_ms", 1.0),  # no line
    ]
    assert scale.extrapolated(points) == [
        Point("stored", "verify_ms", "ms", 1000, 1000.0, 1000.0, 1000.0, True),
        Point("stored", "commit_us", "ms", 1000, 2.0, 2.0, 2.0, True),
        Point("stored", "backup_ms", "ms", 100, 8.0, 8.0, 8.0, True),
    ]


def test_axis_takes_the_place_of_its_earlier_points(tmp_path):
    path = tmp_path / "build" / "scale.json"
    scale.keep(path, "devices", [Measured("scale.devices.rss_mb.1", "MB", [1.0])])
    scale.keep(path, "channels", [Measured("scale.channels.rss_mb.1", "MB", [2.0])])
    scale.keep(path, "devices", [Measured("scale.devices.rss_mb.4", "MB", [3.0])])
    run, points = scale.read(path)
    assert run["cores"] >= 1
    assert [(one.axis, one.x) for one in points] == [("channels", 1), ("devices", 4)]


def test_points_of_another_place_are_not_kept(tmp_path, capsys):
    path = tmp_path / "scale.json"
    devices, channels = (
        Measured(f"scale.{axis}.rss_mb.1", "MB", [1.0]) for axis in ("devices", "channels")
    )
    for key in ("processor", "cores", "memory_mb", "commit", "python"):
        scale.keep(path, "devices", [devices])
        content = json.loads(path.read_text())
        content["run"][key] = "other"
        path.write_text(json.dumps(content))
        scale.keep(path, "channels", [channels])
        run, points = scale.read(path)
        assert [one.axis for one in points] == ["channels"], key
        assert run[key] != "other"
        told = f"begun anew, without its other axes: {path}: {key} was other and is {run[key]}\n"
        assert capsys.readouterr().err.endswith(told)
    path.write_text("[]")
    scale.keep(path, "channels", [channels])
    assert len(scale.read(path)[1]) == 1
    assert "is no scale.json" in capsys.readouterr().err


def test_one_axis_of_changed_sources_marks_the_file(tmp_path, capsys):
    path = tmp_path / "scale.json"
    scale.keep(path, "devices", [Measured("scale.devices.rss_mb.1", "MB", [1.0])])
    content = json.loads(path.read_text())
    content["run"] |= {"changed": True, "date": "before"}
    path.write_text(json.dumps(content))
    scale.keep(path, "channels", [Measured("scale.channels.rss_mb.1", "MB", [2.0])])
    run, points = scale.read(path)
    assert (run["changed"], len(points)) == (True, 2)
    assert run["date"] != "before", "the day of the last axis"
    assert capsys.readouterr().err == ""


def test_file_that_has_no_points_is_refused(tmp_path):
    path = tmp_path / "scale.json"
    for content in (
        "",
        "[]",
        '{"run": {}}',
        '{"run": [], "points": []}',
        '{"run": {}, "points": [{"axis": "devices"}]}',
    ):
        path.write_text(content)
        with pytest.raises(ValueError, match="make bench NAMES=scale"):
            scale.read(path)


# -- plots -----------------------------------------------------------------------------


def test_plots_are_drawn_of_made_up_points(tmp_path):
    pytest.importorskip("matplotlib")
    points = made_up("devices", (1, 4, 64)) + made_up("stored", (10_000, 100_000))
    points += scale.extrapolated(points)
    assert any(one.is_extrapolated for one in points)
    made = plots.draw(points, tmp_path)
    assert [path.name for path in made] == ["scale-devices.png", "scale-stored.png"]
    for path in made:
        assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


def test_every_figure_of_a_plot_is_in_the_table_beside_it():
    for axis, plot in plots.PLOTS.items():
        drawn = {name for panel in plot.panels for name, _ in panel.lines}
        assert drawn <= FIGURES[axis]


# -- BENCHMARKS.md ---------------------------------------------------------------------


def test_tables_are_those_of_the_record():
    text = generate_benchmarks_md.DOCUMENT.read_text(encoding="utf-8")
    assert text == generate_benchmarks_md.generate(text), "make docs"


def test_record_has_all_that_the_tables_show():
    _, points = scale.read(scale.RECORD)
    for axis, figures in FIGURES.items():
        assert {one.figure for one in points if one.axis == axis} >= figures
    assert scale.extrapolated(points) == [one for one in points if one.is_extrapolated]


def test_table_shows_medians_and_says_what_is_a_guess():
    points = [
        Point("backlog", "opened_ms", "ms", 1000, 7.126, 6.0, 8.0),
        Point("backlog", "opened_ms", "ms", 1_000_000, 12_345.0, 12_345.0, 12_345.0, True),
    ]
    rows = generate_benchmarks_md.axis_table(points, "backlog").strip().splitlines()[2:]
    assert rows == ["| 1,000 | 7.13 (6 to 8) |  |  |  |", "| 1,000,000 | *12,300* |  |  |  |"]


def test_batch_is_calculated_from_the_two_that_were_measured():
    # 500 bytes for each batch and 100 for each of its readings.
    points = [
        Point("fleet", "nats_up_bytes", "bytes", 10, 150.0, 150.0, 150.0),
        Point("fleet", "nats_up_bytes", "bytes", 2000, 100.25, 100.25, 100.25),
    ]
    assert generate_benchmarks_md.of_batch(points, "nats", "up_bytes", 50) == pytest.approx(110.0)


def test_fleet_is_what_one_agent_takes_times_their_number():
    points = [
        Point("fleet", figure, "bytes", x, 100.0, 100.0, 100.0)
        for figure in sorted(FIGURES["fleet"])
        for x in (10, 2000)
    ]
    fleet = generate_benchmarks_md.Fleet(agents=1000, rate_hz=10.0)
    table = generate_benchmarks_md.fleet_table(points, fleet)
    rows = {row.split("|")[1].strip(): row.split("|")[2:-1] for row in table.strip().splitlines()}
    assert [cell.strip() for cell in rows["messages a second"]] == [
        *("10,000", "1,000", "1,000", "10,000")
    ]
    # 10,000 readings of 100 bytes, and a packet's 66 bytes for each of 1,000 agents
    assert rows["MB a second to the cluster"][1].strip() == "1.07"
    assert rows["GB of storage a day, 3 copies"][3].strip() == "259"


def test_record_is_small():
    content = scale.RECORD.read_text(encoding="utf-8")
    assert len(content) < 100_000
    assert json.loads(content)["run"]["date"]
