"""plot: the points it draws are the readings, or summaries where those are too many.

No line crosses a gap, and the labels fit the terminal.
"""

import json
import random
import re
import shutil
import subprocess
from contextlib import closing

import pytest
from host.command import environment, run_host
from host.fakes import UTC_MS
from host.test_chart import drawn, lose
from host.test_cli import on_terminal
from pyv_edge_agent import exit_status
from pyv_edge_agent.cli import COMMANDS
from pyv_edge_agent.cli.plot import _tick
from pyv_edge_agent.cli.selection import OpenedView
from pyv_edge_agent.cli.series_points import find_points
from pyv_edge_agent.errors import UsageError
from pyv_edge_agent.store.query import ALWAYS
from pyv_edge_agent.store.reader import StoreReader
from pyv_edge_agent.view.chart import Effort
from pyv_edge_core.privacy import PrivacyPolicy

HOUR_MS = 3_600_000
NOTHING_SEEN = r"withheld by the privacy|no values of that time"


def points(rig, *rules, sensor="porch.temp", times=ALWAYS, count_max=1000, is_local=False):
    with closing(
        OpenedView(StoreReader(rig.path), PrivacyPolicy(list(rules)), is_local=is_local)
    ) as view:
        return find_points(view, sensor, times, count_max)


def test_few_readings_are_drawn_one_by_one(rig):
    rig.mixed(9)
    rig.add(1, quality=2)
    found = points(rig)
    assert found.source == "readings"
    assert found.times_ms == [UTC_MS, UTC_MS + 3000, UTC_MS + 6000]
    assert found.values == {"value": [0.0, 0.03, 0.06]}
    assert (found.unit, found.range) == ("Cel", (0.0, 0.06))
    assert found.described().startswith("porch.temp: 3 readings from 2026-05-28T20:26:40.000Z to ")


def test_many_are_drawn_as_summaries_and_more_as_coarser_ones(rig):
    rig.mixed(3 * 3600)
    rig.minute()
    assert points(rig, count_max=3600).source == "readings"
    minutes = points(rig, count_max=3599)
    assert minutes.source == "minute"
    assert len(minutes.times_ms) == 181
    low, mean, high = (minutes.values[one] for one in ("min", "mean", "max"))
    assert all(low[n] <= mean[n] <= high[n] for n in range(181))
    assert points(rig, count_max=180).source == "hour"
    assert points(rig, count_max=1).source == "hour"  # there is nothing coarser
    hour = (UTC_MS, UTC_MS + HOUR_MS)
    assert points(rig, count_max=1200, times=hour).source == "readings"


def test_what_came_late_is_drawn_where_it_belongs(rig):
    rig.mixed(9)
    rig.clock.step(-HOUR_MS)
    rig.mixed(3)
    found = points(rig)
    assert found.times_ms == sorted(found.times_ms)
    assert found.values["value"][0] == 0.0 and len(found.times_ms) == 4


@pytest.mark.parametrize("action", ["local_only", "aggregate_only", "drop", "mask"])
def test_only_what_may_be_known_is_drawn(rig, action):
    rig.mixed(30)
    rig.minute()
    rule = {"pattern": "porch.temp", "action": action}
    with pytest.raises(UsageError, match=NOTHING_SEEN):
        points(rig, rule)
    if action in ("drop", "mask"):
        with pytest.raises(UsageError, match=NOTHING_SEEN):
            points(rig, rule, is_local=True)
    else:
        source = {"local_only": "readings", "aggregate_only": "minute"}[action]
        assert points(rig, rule, is_local=True).source == source
    rounded = {"pattern": "porch.temp", "action": "clamp", "high": 0.1}
    assert points(rig, rounded).range == (0.0, 0.1)
    assert points(rig, rounded, count_max=5).range == (0.0, 0.1)


@pytest.mark.parametrize(
    ("sensor", "problem"),
    [
        ("porch", "porch: no sensor is called so"),
        ("porch.*", r"fits 3 sensors, name one: porch\.count, porch\.power, porch\.temp"),
        ("[", "SENSOR: '\\[' is not a pattern"),
    ],
)
def test_one_sensor_is_drawn(rig, sensor, problem):
    rig.mixed(3)
    with pytest.raises(UsageError, match=problem):
        points(rig, sensor=sensor)
    assert points(rig, sensor="*.temp").sensor == "porch.temp"


# -- gaps ----------------------------------------------------------------------------------


def gaps(found):
    return [(one.start_ms, one.end_ms, one.lost, one.causes) for one in found.gaps]


def runs(found):
    return [found.times_ms[run] for run in found.runs()]


def test_what_was_lost_however_little_ends_a_line(rig):
    rig.add(5, value=1)
    lose(rig, 7)
    rig.add(5, value=1)
    found = points(rig)
    assert gaps(found) == [(UTC_MS + 4000, UTC_MS + 5000, 7, ["overwritten"])]
    assert runs(found) == [found.times_ms[:5], found.times_ms[5:]]
    assert found.described().endswith(", 1 gap, 7 readings of the device lost")


def test_long_silence_ends_a_line_and_nothing_is_known_to_be_lost(rig):
    rig.add(5, value=1)
    rig.clock.advance(60_000)
    rig.add(1, value=1)
    rig.clock.advance(60_000)
    rig.add(5, value=1)
    found = points(rig)
    assert [(end - start, lost) for start, end, lost, _ in gaps(found)] == [(61_000, None)] * 2
    assert [len(run) for run in runs(found)] == [5, 1, 5]
    assert found.described().endswith(", 2 gaps")


def test_line_ends_where_the_sensor_failed(rig):
    rig.add(2, quality=2)
    rig.add(5, value=1)
    rig.add(3, quality=2)
    rig.add(5, value=1)
    rig.add(2, quality=2)
    found = points(rig)
    assert gaps(found) == [(UTC_MS + 6000, UTC_MS + 10_000, None, ["bad"])]
    assert [len(run) for run in runs(found)] == [5, 5]


def test_one_gap_tells_all_that_is_known_of_it(rig):
    rig.add(5, value=1)
    lose(rig, 2)
    rig.add(1, quality=2)
    lose(rig, 3, "released")
    rig.clock.advance(60_000)
    rig.add(5, value=1)
    ((_, _, lost, causes),) = gaps(points(rig))
    assert (lost, causes) == (5, ["bad", "overwritten", "released"])


def test_where_nothing_is_missing_one_line_joins_all(rig):
    rig.mixed(300)
    rig.minute()
    for count_max, source in ((1000, "readings"), (99, "minute")):
        found = points(rig, count_max=count_max)
        assert (found.source, found.gaps) == (source, [])
        assert runs(found) == [found.times_ms]


@pytest.mark.parametrize("seed", range(6))
def test_gaps_are_those_of_the_page(rig, seed):
    rng = random.Random(seed)
    for _ in range(rng.randrange(3, 12)):
        rig.add(rng.randrange(1, 200), value=1)
        if rng.random() < 0.5:
            lose(rig, rng.randrange(1, 50), rng.choice(["overwritten", "released"]))
        rig.clock.advance(rng.choice([0, 0, 500, 20_000, 400_000]))
    rig.minute()
    times = (UTC_MS // HOUR_MS * HOUR_MS, UTC_MS + 6 * HOUR_MS)
    for count_max, effort in ((4000, None), (0, Effort(0, 0))):
        found = points(rig, times=times, count_max=count_max or 100)
        if not count_max and found.source != "minute":
            continue  # there are too few to be summarised
        page = drawn(rig, times, 4000, effort=effort)
        assert found.source == page.source
        assert found.times_ms == page.times_ms
        last_ms = found.times_ms[-1]  # the page goes on to now
        assert found.gaps == [one for one in page.holes if one.end_ms <= last_ms]
        assert [at for run in runs(found) for at in run] == found.times_ms
        assert [run[0] for run in runs(found)[1:]] == [one.end_ms for one in found.gaps]


def test_minute_without_a_measurement_is_a_gap(rig):
    rig.add(120, value=1)
    rig.add(240, quality=2)
    rig.add(120, value=1)
    rig.minute()
    found = points(rig, count_max=100)
    assert found.source == "minute"
    ((start_ms, end_ms, lost, causes),) = gaps(found)
    assert (end_ms - start_ms, lost, causes) == (180_000, None, ["bad"])
    assert start_ms - 60_000 in found.times_ms and end_ms in found.times_ms


# -- the command ---------------------------------------------------------------------------


@pytest.fixture
def site(rig):
    rig.mixed(300)
    return rig.write_config()


def test_command_draws_and_says_what(site):
    done = run_host("plot", "porch.temp", cwd=site)
    assert done.returncode == exit_status.DONE
    lines = done.stdout.splitlines()
    assert "(Cel)" in lines[0]
    assert sum(any("\u2801" <= one <= "\u28ff" for one in line) for line in lines) > 5
    assert lines[-2].count(":") > 4  # times under the axis
    assert lines[-1] == (
        "porch.temp: 100 readings from 2026-05-28T20:26:40.000Z to 2026-05-28T20:31:37.000Z,"
        " 0 to 2.97 Cel"
    )
    assert "\x1b" not in done.stdout


def has_dots(letter):
    return "\u2801" <= letter <= "\u28ff"


def islands(lines):
    """Return how many stretches of columns have a dot, none of them beside another."""
    canvas = [line for line in lines if "|" in line and any(map(has_dots, line))]
    width = max(map(len, canvas))
    filled = [any(has_dots(line[at : at + 1] or " ") for line in canvas) for at in range(width)]
    return sum(now and not before for before, now in zip([False, *filled], filled, strict=False))


@pytest.mark.parametrize("is_summarised", [False, True], ids=["readings", "minutes"])
def test_terminal_shows_a_hole_where_nothing_is_known(rig, is_summarised):
    """The readings go up all the time, so that a line would leave no column empty."""
    count, step_ms = (9000, 400) if is_summarised else (60, 1000)
    rig.mixed(count, step_ms)
    lose(rig, 20)
    rig.clock.advance(count * step_ms // 2)
    rig.mixed(count, step_ms)
    rig.clock.advance(count * step_ms // 2)
    rig.mixed(count, step_ms)
    rig.minute()
    done = run_host("plot", "porch.temp", cwd=rig.write_config())
    *lines, said = done.stdout.splitlines()
    assert islands(lines) == 3
    assert ("readings from" in said) != is_summarised
    assert said.endswith(", 2 gaps, 20 readings of the device lost")


def test_terminal_shows_no_hole_where_none_is(site):
    assert islands(run_host("plot", "porch.temp", cwd=site).stdout.splitlines()) == 1


def test_gaps_as_json(rig):
    rig.add(5, value=1)
    lose(rig, 7)
    rig.add(5, value=1)
    told = json.loads(run_host("plot", "porch.temp", "--json", cwd=rig.write_config()).stdout)
    assert [*told] == ["sensor", "unit", "source", "times_ms", "values", "gaps"]
    (gap,) = told["gaps"]
    assert gap == {
        "start_ms": UTC_MS + 4000,
        "end_ms": UTC_MS + 5000,
        "lost": 7,
        "causes": ["overwritten"],
    }


@pytest.mark.parametrize("columns", [60, 80, 100, 107, 160])
@pytest.mark.parametrize("days", [0, 3, 60])
def test_labels_fit_the_terminal(rig, columns, days):
    rig.add(100, step_ms=1000 + days * 864_000, value=-123_456_700)
    code = (
        "import fcntl, os, struct, sys, termios; from pyv_edge_agent.cli import main\n"
        f"fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack('4H', 24, {columns}, 0, 0))\n"
        f"os.chdir({str(rig.write_config())!r}); sys.exit(main(['plot', 'porch.temp']))"
    )
    *lines, axis, times, _ = on_terminal(code, NO_COLOR="1").splitlines()
    assert max(len(line.rstrip()) for line in (*lines, axis, times)) < columns
    assert axis.endswith("-> (UTC)") and len(axis) == columns - 1  # there is no room wasted
    form = {0: r"\d\d:\d\d:\d\d", 3: r"\d\dT\d\d:\d\d", 60: r"\d\d-\d\d-\d\d"}[days]
    labels = times.split("|")[1].split()
    assert len(labels) == axis.count("|") - 1
    assert all(re.fullmatch(form, label) for label in labels)
    values = [float(line.split(" |")[0]) for line in lines[1:]]
    assert len(values) == 16 and all(-1.4e6 < value < -1.1e6 for value in values)


@pytest.mark.parametrize(
    "value", [0.0, 23.45, -0.000123456789, -1234567.0, 123456789.0, -1.23456e-100, 1e300]
)
def test_value_beside_the_axis_is_not_cut_off(value):
    shown = _tick(value)
    assert len(shown) <= 10
    assert float(shown) == pytest.approx(value, rel=1e-2)


def test_colour_is_for_terminals(site):
    code = (
        "import os, sys; from pyv_edge_agent.cli import main\n"
        f"os.chdir({str(site)!r}); sys.exit(main(['plot', 'porch.temp']))"
    )
    assert "\x1b[" in on_terminal(code)
    assert "\x1b[" not in on_terminal(code, NO_COLOR="1")


def test_points_as_json_need_no_library(site):
    code = (
        "import sys; sys.modules['plotille'] = None\n"
        "from pyv_edge_agent.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    done = run_host("plot", "porch.temp", "--json", cwd=site, code=code)
    told = json.loads(done.stdout)
    assert (told["sensor"], told["unit"], told["source"]) == ("porch.temp", "Cel", "readings")
    assert len(told["times_ms"]) == len(told["values"]["value"]) == 100
    done = run_host("plot", "porch.temp", cwd=site, code=code)
    assert (done.returncode, done.stdout) == (exit_status.USAGE, "")
    assert "pip install '.[tui]' in a clone" in done.stderr


# -- completion ------------------------------------------------------------------------------

_ASK = """
eval "$(cat)"
COMP_WORDS=({words}) COMP_CWORD={place}
$(complete -p pyv-edge-host | sed 's/.*-F \\([^ ]*\\) .*/\\1/')
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


def completed(*words):
    """Return what bash completes the last of `words` to, by the code of the command."""
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("no bash on this computer")
    code = run_host("completion", "bash")
    assert code.returncode == exit_status.DONE, code.stderr
    done = subprocess.run(
        [bash, "-c", _ASK.format(words=" ".join(words), place=len(words) - 1)],
        input=code.stdout,
        capture_output=True,
        text=True,
        env=environment(),
        timeout=60,
    )
    return set(done.stdout.split())


def test_bash_completes_commands_and_their_options():
    assert completed("pyv-edge-host", "''") >= set(COMMANDS)
    assert completed("pyv-edge-host", "led") == {"ledger"}
    assert "--checkpoint" in completed("pyv-edge-host", "audit", "verify", "--ch")


@pytest.mark.parametrize("shell", ["zsh", "tcsh"])
def test_other_shells_get_code_that_names_every_command(shell):
    done = run_host("completion", shell)
    assert done.returncode == exit_status.DONE
    assert all(name in done.stdout for name in COMMANDS)


def test_without_the_library_completion_says_what_to_install():
    code = (
        "import sys; sys.modules['shtab'] = None\n"
        "from pyv_edge_agent.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    done = run_host("completion", "bash", code=code)
    assert (done.returncode, done.stdout) == (exit_status.USAGE, "")
    assert done.stderr == "shtab is not installed: pip install '.[tui]' in a clone\n"
