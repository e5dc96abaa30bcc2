"""The saved corpus, always run; and its growth, which a long run goes on with.

What a long run finds new is written to build/fuzz, each file named after its
CRC. To keep one: see what it is about, give it a name that says so and move it
to tests/fuzz/corpus.
"""

import random
import re
from binascii import crc32
from pathlib import Path

import pytest
from attack import MODES, attack, decode
from growth import SIZE_MAX, Growth
from interpreter import ROOT
from profiles import IS_LONG

CORPUS = sorted((Path(__file__).parent / "corpus").glob("*.bin"))
FOUND = ROOT / "build" / "fuzz"
CASES = 20_000 if IS_LONG else 100

# (part, counter) that the corpus must move, or it would prove little.
REACHED = {
    ("board", "bad_messages_total"),
    ("board", "resends_total"),
    ("board", "stale_total"),
    ("board", "unknown_messages_total"),
    ("board's decoder", "bad_fcs_total"),
    ("board's decoder", "noise_bytes_total"),
    ("board's decoder", "oversize_total"),
    ("host", "bad_messages_total"),
    ("host", "duplicates_total"),
    ("host", "stale_total"),
    ("host", "unknown_messages_total"),
    ("host", "window_exceeded_total"),
    ("host's decoder", "bad_fcs_total"),
    ("host's decoder", "console_bytes_total"),
    ("host's decoder", "noise_bytes_total"),
    ("host's decoder", "oversize_total"),
    ("pacing", "time_lost_total"),
}


@pytest.mark.parametrize("path", [pytest.param(path, id=path.stem) for path in CORPUS])
def test_nothing_of_the_corpus_does_harm(path):
    data = path.read_bytes()
    decode(data)
    for mode in MODES:
        for is_up in (True, False):
            attack(data, mode, is_up=is_up)


def test_the_corpus_is_small_named_and_reaches_what_it_is_for():
    reached = set()
    for path in CORPUS:
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+|[a-z]+", path.stem), path
        assert path.stat().st_size <= SIZE_MAX, path
    for path in CORPUS:
        for mode in MODES:
            reached |= {feature[:2] for feature in attack(path.read_bytes(), mode, is_up=True)}
    assert reached >= REACHED, sorted(REACHED - reached)


def test_the_corpus_grows_and_nothing_new_does_harm():
    # A long run is to find what nobody has thought of; the normal one does the same each time.
    seed = random.SystemRandom().getrandbits(32) if IS_LONG else 1
    growth = Growth(random.Random(seed))
    for path in CORPUS:
        growth.add(path.read_bytes())
    known = len(growth.features)
    try:
        for data, new in growth.grow(CASES):
            if IS_LONG:
                save(data, "new")
                print(f"{crc32(data):08x} {sorted(map(str, new))[0]} and {len(new) - 1} more")
    except BaseException as error:
        culprit = getattr(error, "culprit", None)
        if culprit is not None:
            print(f"seed {seed}; the input is in {save(culprit, 'failed')}")
        raise
    print(f"seed {seed}: {CASES} cases, {known} features and {len(growth.features) - known} new")
    assert len(growth.features) >= known > 100


def save(data, prefix):
    FOUND.mkdir(parents=True, exist_ok=True)
    path = FOUND / f"{prefix}-{crc32(data):08x}.bin"
    path.write_bytes(data)
    return path


def test_growth_keeps_what_is_new_and_only_that():
    growth = Growth(random.Random(5))
    found = list(growth.grow(20))
    assert [data for data, _ in found] == growth.pool
    assert set().union(*(new for _, new in found)) == growth.features
    assert sum(len(new) for _, new in found) == len(growth.features)  # none twice
    again = Growth(random.Random(5))
    assert list(again.grow(20)) == found
