"""Pages of readings on a real LittleFS, whose power goes at each write: see littlefs_spill.py."""

import subprocess

from interpreter import ROOT, find_program


def test_a_cut_at_any_write_loses_no_page_that_was_whole_and_leaves_no_torn_one():
    micropython = find_program("micropython", "PYV_MICROPYTHON")
    command = [micropython, "-X", "heapsize=4m", "tests/e2e/littlefs_spill.py"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    count, word = ran.stdout.split()
    assert word == "cuts" and int(count) >= 100
