"""The pictures of the README come from what runs: made anew, they show what they are to show."""

import re

import generate_pictures
import pytest
from generate_pictures import ROOT, TICKS

SCALE = 4  # a quarter of the ticks that `make pictures` takes, and each a fifth as long
INTERVAL_MS = 100
SPAN_MS = generate_pictures.SPAN_MS >> 3  # twice as long as that takes where nothing is slow


@pytest.mark.timeout(300)
def test_picture_of_the_page(driver, tmp_path):
    with generate_pictures.scene(tmp_path, INTERVAL_MS) as made:
        made.play(TICKS // SCALE, 60, generate_pictures.CUT_FOR)
        png, text = generate_pictures.photograph(driver, made, SPAN_MS)
        lost = [row[0] for row in made.site.rows("SELECT count FROM gaps")]
        driver.get("about:blank")
    assert png.startswith(b"\x89PNG")
    assert len(png) < 150_000
    found = generate_pictures.Png(png)
    assert (found.width, found.height) == (generate_pictures.WIDTH, generate_pictures.HEIGHT)
    assert len(found.lines) == found.height
    assert len(found.colours()) > 100  # with the smoothed edges of letters and lines
    for words in (
        *("greenhouse", "temperature", "humidity", "soil", "freezer", "supply", "pi-cpu"),
        *("✓ healthy", "live", "every reading is accounted for: yes", "Ledger", "Sinks"),
        *(f"{lost[0]} readings of greenhouse lost: overwritten", "above 30"),
    ):
        assert words in text, words
    channels = {sensor for (sensor,) in made.site.rows("SELECT DISTINCT sensor FROM readings")}
    assert {"greenhouse.temperature", "greenhouse.soil", "freezer.supply"} <= channels


def shape(lines):
    """Return what a demo shows without what differs between two of them."""
    text = " ".join(" ".join(lines).split())
    text = re.sub(r"\b[0-9a-f]{8}\b", "BOOT", text)
    text = re.sub(r"no MicroPython on this computer: .* CPython (?=\d)", "", text)
    text = re.sub(r"\b(?:micro|c)python [\d.]+", "PYTHON", text)
    text = re.sub(r"[\d.]*\d", "N", text)
    second = "N s sampled N stored N uploaded N waiting N above limit N "
    return re.sub(f"(?:{second})+", second, text)


def test_picture_of_the_demo(tmp_path):
    svg = generate_pictures.demo_picture(tmp_path)
    assert svg.startswith("<svg ")
    assert "url(http" not in svg.replace('"', "")  # no font of somebody else's
    lines = generate_pictures.shown_in(svg)
    assert lines[-1] == "every reading is accounted for: yes"
    assert sum(" above limit " in line for line in lines) >= 5
    kept = (ROOT / "images" / "demo.svg").read_text(encoding="utf-8")
    assert shape(generate_pictures.shown_in(kept)) == shape(lines), "make pictures"
