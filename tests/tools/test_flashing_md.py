"""FLASHING.md says what happens: its session, its table of interruptions, its sizes."""

import re

import generate_flashing_md
from interpreter import ROOT
from virtual_rig import need_micropython, need_mpremote


def document():
    return (ROOT / "FLASHING.md").read_text(encoding="utf-8")


def test_session_interruptions_and_sizes_are_those_of_the_code():
    need_micropython()
    need_mpremote()
    text = document()
    made = generate_flashing_md.generate(text)
    assert generate_flashing_md.masked(made) == generate_flashing_md.masked(text), "make docs"


def test_sizes_are_about_those_of_the_code():
    numbers = [re.findall(r"\| (\d+) \|\n", part) for part in (document(), _sizes())]
    for said, measured in zip(*(found[-len(numbers[1]) :] for found in numbers), strict=True):
        assert abs(int(said) - int(measured)) <= int(measured) / 20, "make docs"


def _sizes():
    return generate_flashing_md.sizes()
