"""plot: the points it draws are the readings, or summaries where those are too many."""

import json
import shutil
import subprocess
from contextlib import closing

import pytest
from host.command import environment, run_host
from host.fakes import UTC_MS
from host.test_cli import on_terminal
from pyv_edge_agent import exit_status
from pyv_edge_agent.cli import COMMANDS
from pyv_edge_agent.cli.selection import OpenedView
from pyv_edge_agent.cli.series_points import find_points
from pyv_edge_agent.errors import UsageError
from pyv_edge_agent.store.query import ALWAYS
from pyv_edge_agent.store.reader import StoreReader
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
    assert "pip install 'pyv-edge[tui]'" in done.stderr


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
    assert done.stderr == "shtab is not installed: pip install 'pyv-edge[tui]'\n"
