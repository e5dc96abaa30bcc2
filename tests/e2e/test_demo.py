"""The main job, as a user runs it."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
from rig import micropython_command

HOST = str(Path(sys.executable).with_name("pyv-edge-host"))


def run_demo(*args, env=None):
    return subprocess.run(
        [HOST, "demo", *args],
        capture_output=True,
        text=True,
        timeout=100,
        env={**os.environ, **(env or {})},
    )


def test_demo_accounts_for_every_reading():
    micropython_command()
    done = run_demo("--seconds", "4", "--boards", "2", "--rate", "100", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["interpreter"].startswith("micropython")
    assert result["boards"] == 2 and result["seconds"] == 4
    assert result["sampled"] >= 600
    assert result["stored"] == result["uploaded"] == result["received_unique"] == result["sampled"]
    assert (result["duplicates"], result["gaps"], result["in_flight"]) == (0, 0, 0)
    assert result["events"] >= 1
    assert result["conserved"] is True
    assert "every reading is accounted for: yes" in done.stderr


def test_demo_under_cpython_and_with_settings_of_ones_own(tmp_path):
    """Without MicroPython the same firmware runs under CPython, and says so."""
    config = tmp_path / "mine.toml"
    config.write_text(
        '[[privacy.rules]]\npattern = "*.load_1m"\naction = "drop"\n'
        '[[privacy.rules]]\npattern = "*.cpu_busy"\naction = "aggregate_only"\n'
        '[[privacy.rules]]\npattern = "*.memory_available"\naction = "local_only"\n'
        '[[rules]]\nname = "warm"\nsensor = "*.temperature"\nabove = 19.0\n'
    )
    bare = tmp_path / "bin"
    bare.mkdir()
    # A MicroPython that can't be found: a Python of another folder has none beside it.
    (bare / "python3").symlink_to(sys.executable)
    done = subprocess.run(
        [
            str(bare / "python3"),
            "-m",
            "pyv_edge_agent.cli",
            *("demo", "--seconds", "2", "--boards", "1", "--rate", "40", "--json"),
            *("--config", str(config)),
        ],
        capture_output=True,
        text=True,
        timeout=100,
        env={
            "PATH": str(bare),
            "HOME": str(tmp_path),
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        },
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["interpreter"].startswith("cpython")
    assert "no MicroPython" in done.stderr
    quarter = result["denied"]
    assert result["aggregated"] == result["withheld"] == result["uploaded"] == quarter > 0
    assert result["stored"] == 2 * quarter
    assert result["sampled"] == 4 * quarter
    assert (
        f"sampled {4 * quarter} = stored {2 * quarter} + denied {quarter}"
        f" + aggregated {quarter} + lost 0 + in flight 0"
    ) in done.stderr
    assert f"stored {2 * quarter} = uploaded {quarter} + withheld {quarter};" in done.stderr
    assert result["conserved"] is True


def test_demo_that_is_terminated_leaves_nothing_running():
    for signum in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        demo = subprocess.Popen(
            [HOST, "demo", "--seconds", "60", "--boards", "2"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            # What a shell runs in the background ignores SIGINT, and so do its children.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        while "boards run" not in demo.stdout.readline():
            assert demo.poll() is None, signum
        children = psutil.Process(demo.pid).children(recursive=True)
        # Two boards and what boots them, the agent, the receiver.
        assert len(children) == 6, signum
        demo.send_signal(signum)
        assert demo.wait(60) == 1, signum
        demo.stdout.close()
        assert psutil.wait_procs(children, timeout=30)[1] == [], signum


def test_demo_refuses_what_it_cannot_do(tmp_path):
    bad = tmp_path / "bad.toml"
    bad.write_text("[health]\nprot = 1\n")
    for args, words in (
        (("--seconds", "0"), "outside 1..86400"),
        (("--rate", "x"), "--rate"),
        (("--config", str(tmp_path / "none.toml")), "no such config file"),
        (("--config", str(bad)), "did you mean port?"),
    ):
        done = run_demo(*args)
        assert done.returncode == 2, args
        assert words in done.stderr, args
        assert "Traceback" not in done.stderr, args
    done = run_demo(env={"PYV_MICROPYTHON": "/nowhere/micropython"})
    assert done.returncode == 1
    assert "PYV_MICROPYTHON: /nowhere/micropython can't be run" in done.stderr
    done = run_demo(env={"PYV_MICROPYTHON": "/bin/true"})
    assert done.returncode == 1
    assert "is no MicroPython" in done.stderr
    assert "Traceback" not in done.stderr
