"""The power goes before each change of the flash: no whole page is lost, no torn one delivered.

Each loop ends with the cut point that no longer comes.
"""

from fake_board import FakeFlash
from spill_rig import Site

HEAP_KB_MIN = 384  # a node, its host and its flash in one heap

QUICK = {"after_s": 5, "pages_per_day": 17280}
_CUTS_MAX = 200


def _deliver(site):
    """Give the board a host until all pages are gone; return that boot."""
    boot = site.boot()
    site.has_host = True
    site.run(6)
    assert site.flash.names("spill") == [], site.flash.names("spill")
    return boot


def _left(changes):
    """Return a site whose board has lost its power after so many changes, and whether it has."""
    site = Site(FakeFlash(), QUICK, interval_ms=500)
    site.boot()
    return site, site.run_until_cut(24, changes)


def test_a_cut_while_pages_are_written():
    for changes in range(_CUTS_MAX):
        site, is_cut = _left(changes)
        first = site.boot_id
        saved = site.saved(first)
        if changes > 6:  # folder, table and a page, each of the two in halves
            assert saved, changes
        last = _deliver(site)
        assert site.store.numbers(first) == sorted(saved), changes
        assert site.store.numbers(last), changes
        if not is_cut:
            break
    assert 10 < changes < _CUTS_MAX - 1


def test_a_cut_while_a_page_gives_way_to_a_fuller_one_keeps_one_of_them():
    counts = []
    for changes in range(_CUTS_MAX):
        site, is_cut = _left(changes)
        counts.append(len(site.saved(site.boot_id)))
        if not is_cut:
            break
    assert counts == sorted(counts)


def test_a_cut_while_pages_are_delivered_and_removed():
    for changes in range(_CUTS_MAX):
        site, _ = _left(-1)
        first = site.boot_id
        saved = site.saved(first)
        second = site.boot()
        site.has_host = True
        is_cut = site.run_until_cut(6, changes)
        _deliver(site)
        assert site.store.numbers(first) == sorted(saved), changes
        numbers = site.store.numbers(second)
        assert numbers == list(range(len(numbers))), changes
        assert site.store.losses == []
        if not is_cut:
            break
    assert 1 < changes < _CUTS_MAX - 1


def test_a_cut_while_a_board_that_is_reset_on_purpose_saves_what_it_has():
    for changes in range(_CUTS_MAX):
        site = Site(FakeFlash(), {"after_s": 600}, 32, 500)
        first = site.boot()
        site.run(8)
        site.flash.changes_left = changes
        try:
            site.app.save()
            is_cut = False
        except BaseException:
            is_cut = True
        site.flash.changes_left = -1
        saved = site.saved(first)
        assert is_cut or len(saved) == len(site.truth[first])
        _deliver(site)
        assert site.store.numbers(first) == sorted(saved), changes
        if not is_cut:
            break
    assert 3 < changes < _CUTS_MAX - 1


def test_a_cut_while_the_oldest_page_gives_way():
    base = Site(FakeFlash(), {"after_s": 5, "pages_per_day": 17280, "size_kb": 32}, 32, 500)
    base.boot()
    base.fill_pages(7)
    files = dict(base.flash.files)
    truth = base.truth
    for changes in range(_CUTS_MAX):
        site = Site(FakeFlash(**files), base.spill, 32, 500)
        site.boot_id = base.boot_id
        site.truth.update(truth)
        before = site.saved(base.boot_id)
        site.boot()
        is_cut = site.run_until_cut(6, changes)
        saved = site.saved(base.boot_id)
        assert saved and max(saved) == max(before)
        _deliver(site)
        assert site.store.numbers(base.boot_id) == sorted(saved), changes
        if not is_cut:
            break
    assert 2 < changes < _CUTS_MAX - 1


def test_boots_that_end_at_any_moment_lose_nothing_that_was_saved():
    site = Site(FakeFlash(), QUICK, interval_ms=500)
    expected = {}
    for changes in (3, 7, 30, 9, 8, 11, 5):
        boot = site.boot()
        site.run_until_cut(12, changes)
        expected[boot] = sorted(site.saved(boot))
    _deliver(site)
    for boot in expected:
        assert site.store.numbers(boot) == expected[boot]
    order = [greeting.hello.boot for greeting in site.greetings]
    assert order == sorted(order)
