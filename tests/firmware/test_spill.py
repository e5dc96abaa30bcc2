"""Readings that no host has taken outlive a reset, on pages that are written sparingly."""

from check import raises
from fake_board import FakeFlash, make_settings
from pyv_edge_core import message
from pyv_edge_node.settings import SettingsError
from spill_rig import Site

HEAP_KB_MIN = 384  # a node, its host and its flash in one heap

QUICK = {"after_s": 5, "pages_per_day": 17280}  # a page every five seconds


def test_with_a_host_that_acknowledges_nothing_is_ever_written():
    site = Site(FakeFlash(), QUICK)
    site.has_host = True
    site.boot()
    site.run(60)
    assert site.flash.changes_total == 0
    assert len(site.store.numbers(site.boot_id)) > 290


def test_without_a_host_pages_are_written_and_the_next_boot_delivers_them_first():
    site = Site(FakeFlash(), QUICK)
    first = site.boot()
    site.run(30)
    taken = len(site.truth[first])
    assert taken > 140 and site.app.telemetry.first_seq > 0  # the memory holds 32 of them
    saved = site.saved(first)
    assert saved == set(range(max(saved) + 1)) and len(saved) >= taken - 26
    second = site.boot()
    site.has_host = True
    site.run(20)
    hellos = [greeting.hello for greeting in site.greetings]
    assert [hello.boot for hello in hellos] == [first, second]
    assert [hello.flags for hello in hellos] == [message.HELLO_OVER, 0]
    assert hellos[0].tag == first & 0xFFFF ^ 0xFFFF and hellos[1].tag == second & 0xFFFF
    assert 25 <= hellos[0].uptime_s <= 30
    assert (hellos[0].telemetry_first, hellos[0].telemetry_next) == (0, len(saved))
    assert site.store.numbers(first) == list(range(len(saved)))
    assert site.store.numbers(second) == list(range(len(site.truth[second])))
    assert site.store.losses == []
    assert site.flash.names("spill") == []


def test_the_ring_is_as_much_larger_as_there_are_pages():
    site = Site(FakeFlash(), QUICK)
    boot = site.boot()
    site.run(60)
    site.has_host = True
    site.run(20)
    assert site.store.losses == []
    assert site.store.numbers(boot) == list(range(len(site.truth[boot])))
    site.app.report_vitals(site.board.now_ms)
    site.run(1)
    assert site.vitals.dropped_total == 0 and site.vitals.pages_written_total >= 11
    assert site.store.next[boot, 0] >= len(site.truth[boot]) - 5  # some are on their way
    assert site.flash.names("spill") == []


def test_what_no_page_has_is_a_gap_and_counted():
    # One page in a day: what the memory overwrites from then on is nowhere.
    site = Site(FakeFlash(), {"after_s": 5, "pages_per_day": 1})
    boot = site.boot()
    site.run(60)
    saved = site.saved(boot)
    assert 20 <= len(saved) <= 32
    held = site.app.telemetry.first_seq
    assert site.app.own_session.streams[0].ring.dropped_total == held - len(saved)
    site.has_host = True
    site.run(20)
    cause = message.GAP_OVERWRITTEN
    assert [loss[:4] for loss in site.store.losses] == [(boot, 0, len(saved), held - 1)]
    assert site.store.losses[0][4] == cause
    site.app.report_vitals(site.board.now_ms)
    site.run(1)
    assert site.vitals.dropped_total == held - len(saved)
    assert (site.vitals.pages_written_total, site.vitals.pages_refused_total) == (1, 1)
    assert [text for text in site.logs if "in a day" in text] == site.logs and len(site.logs) == 1


def test_the_limit_is_of_a_day():
    site = Site(FakeFlash(), {"after_s": 5, "pages_per_day": 2}, interval_ms=3_600_000)
    site.boot()
    uptime = site.app.uptime
    for day in range(3):
        uptime.s = day * 86400 + 100
        for _ in range(4):
            site.run(6)
            uptime.s += 20_000
            for _ in range(12):
                site.app.pipeline.push(0, 0, 1, uptime.s, 0, 0)
        assert site.app.spill.pages.written_total == 2 * (day + 1)
        assert site.app.spill.refused_total == day + 1


def test_when_there_is_no_room_the_oldest_page_goes_and_is_a_gap():
    site = Site(FakeFlash(), {"after_s": 5, "pages_per_day": 17280, "size_kb": 32})
    first = site.boot()
    site.fill_pages(7)
    for _ in range(20):
        site.run(1)
        site.app.spill.pages.is_filling = False
    assert len(site.flash.names("spill")) == 8  # the channel table takes a block, too
    saved = site.saved(first)
    lost = min(saved)
    assert lost > 0 and saved == set(range(lost, max(saved) + 1))
    assert site.app.own_session.streams[0].ring.dropped_total == lost
    assert site.app.spill.pages.dropped_total > 0
    second = site.boot()
    site.has_host = True
    site.run(60)
    assert site.store.losses == [(first, 0, 0, lost - 1, message.GAP_OVERWRITTEN)]
    assert site.store.numbers(first) == sorted(saved)
    assert site.store.numbers(second)[0] == 0


def test_boots_come_oldest_first_each_with_its_own_channels():
    site = Site(FakeFlash(), QUICK)
    boots = []
    for channel in ("a", "b", "b", "c"):
        site.sensors[0]["channel"] = channel
        boots.append(site.boot())
        site.run(12)
    assert len([name for name in site.flash.names("spill") if name[0] == "t"]) == 3
    site.sensors[0]["channel"] = "d"
    boots.append(site.boot())
    site.has_host = True
    site.run(20)
    assert [greeting.hello.boot for greeting in site.greetings] == boots
    names = [[row.name for row in greeting.channels] for greeting in site.greetings]
    assert names == [["a"], ["b"], ["b"], ["c"], ["d"]]
    for boot in boots:
        assert len(site.store.numbers(boot)) >= 50
    assert site.flash.names("spill") == []


def test_a_reset_that_is_meant_leaves_nothing_behind():
    site = Site(FakeFlash(), {"after_s": 600})
    first = site.boot()
    site.run(5)  # far less than what it would wait for
    assert site.flash.changes_total == 0
    site.app.reset()
    assert site.board.resets_total == 1 and site.board.feeds_total > 0
    assert site.saved(first) == set(range(len(site.truth[first])))
    site.boot()
    site.has_host = True
    site.run(10)
    assert site.store.numbers(first) == list(range(len(site.truth[first])))


def test_a_reset_with_nothing_to_save_writes_nothing():
    site = Site(FakeFlash(), QUICK, interval_ms=1000)
    site.has_host = True
    site.boot()
    site.run(10.5)
    assert site.app.own_session.in_flight == 0
    site.app.reset()
    assert site.flash.changes_total == 0


def test_what_a_host_had_before_the_reset_is_not_taken_again():
    # It had acknowledged, and the power went before the page was removed.
    site = Site(FakeFlash(), QUICK)
    first = site.boot()
    site.run(20)
    pages = dict(site.flash.files)
    saved = site.saved(first)
    site.has_host = True
    site.run(20)
    assert site.flash.names("spill") == []
    count = site.store.next[first, 0]
    assert count > len(saved)
    site.flash.files = pages
    second = site.boot()
    site.run(10)
    # The pages end below where the host stands.
    assert [greeting.hello.boot for greeting in site.greetings] == [first, first, second]
    assert site.store.next[first, 0] == count
    assert site.store.next[second, 0] > 40
    assert site.flash.names("spill") == []


def test_a_store_that_has_nothing_is_told_what_another_host_had():
    site = Site(FakeFlash(), QUICK)
    site.has_host = True
    first = site.boot()
    site.run(10)
    had = site.store.next[first, 0]
    site.has_host = False
    site.run(20)
    site.store.forget()
    site.boot()
    site.has_host = True
    site.run(10)
    assert site.store.losses[0] == (first, 0, 0, had - 1, message.GAP_RELEASED)
    assert site.store.numbers(first)[0] == had


def test_a_host_that_leaves_in_the_middle_finds_the_rest_later():
    site = Site(FakeFlash(), QUICK)
    first = site.boot()
    site.run(60)
    saved = len(site.saved(first))
    second = site.boot()
    site.has_host = True
    site.turns = 1
    while (first, 0) not in site.store.next:
        site.run(0.1)
    part = site.store.next[first, 0]
    assert part < saved
    site.has_host = False
    site.run(40)
    assert site.saved(second)  # this one's, behind those of the other
    third = site.boot()
    site.has_host = True
    site.run(30)
    for boot, count in ((first, saved), (second, None), (third, None)):
        numbers = site.store.numbers(boot)
        assert numbers == list(range(len(numbers))) and numbers
        assert count is None or len(numbers) == count
    assert site.store.losses == []


def test_a_refusal_leaves_everything_as_it_is():
    site = Site(FakeFlash(), QUICK)
    site.boot()
    site.run(20)
    site.boot()
    before = dict(site.flash.files)
    for _ in range(5):
        site.app.session.receive(b"", site.board.now_ms)
        refusal = message.pack(message.REFUSAL, site.app.session.tag, 2, 1, 1, 30)
        from pyv_edge_core.frame import encode_for_board

        site.port.incoming += encode_for_board(refusal)
        site.run(0.5)
    assert site.app.session.is_over and site.app.session.refusal is not None
    assert site.flash.files == before


def test_a_full_flash_is_counted_and_told_once_and_the_node_goes_on():
    flash = FakeFlash()
    flash.is_full = True
    site = Site(flash, QUICK)
    boot = site.boot()
    site.run(60)
    assert site.app.spill.pages.failed_total == 1  # then it is left alone
    site.has_host = True
    site.run(10)
    assert len([text for text in site.logs if "flash full" in text]) == 1
    assert site.store.losses and site.store.losses[0][0] == boot
    assert site.app.errors_total == 0


def test_files_of_others_are_left_alone():
    names = ("temporary", "tabcdefgh", "notes.txt", "0000000A", "t1", "1234567g")
    flash = FakeFlash(**{"spill/" + name: b"mine" for name in names})
    site = Site(flash, QUICK)
    first = site.boot()
    site.run(20)
    saved = site.saved(first)
    site.spill = None
    site.boot()
    site.has_host = True
    site.run(20)
    assert site.store.numbers(first) == sorted(saved)
    assert site.app.spill is None and site.logs == []
    assert sorted(flash.names("spill")) == sorted(names)


def test_a_flash_that_can_not_be_looked_at_is_left_alone():
    site = Site(FakeFlash(), QUICK)
    first = site.boot()
    site.fill_pages(3)
    files = dict(site.flash.files)
    saved = site.saved(first)
    site.flash.unreadable = "spill/" + site.flash.names("spill")[1]
    second = site.boot()
    site.run(60)
    site.app.save()
    site.has_host = True
    site.run(10)
    assert site.flash.files == files
    assert [greeting.hello.boot for greeting in site.greetings] == [second]
    assert len([text for text in site.logs if "flash" in text]) == 1
    site.flash.unreadable = ""
    site.boot()
    site.run(10)
    assert site.store.numbers(first) == sorted(saved)


def test_a_damaged_page_is_counted_and_the_others_come():
    for place in (0, 2, 4):
        site = Site(FakeFlash(), QUICK)
        first = site.boot()
        site.fill_pages(5)
        pages = [name for name in site.flash.names("spill") if name[0] != "t"]
        name = "spill/" + pages[place]
        content = site.flash.files[name]
        site.flash.files[name] = content[:100] + b"\x55" + content[101:]
        saved = site.saved(first)
        site.has_host = True
        site.boot()
        site.run(30)
        assert site.store.numbers(first) == sorted(saved)
        # What is behind the last whole page nobody knows of any more.
        assert len(site.store.losses) == (0 if place == 4 else 1)
        assert site.app.spill.pages.failed_total == 1
        assert any("is damaged" in text for text in site.logs)


def test_a_page_that_goes_bad_while_it_is_needed_is_a_gap():
    site = Site(FakeFlash(), QUICK)
    site.boot()
    site.fill_pages(3)
    second = site.boot()
    pages = [name for name in site.flash.names("spill") if name[0] != "t"]
    site.flash.files["spill/" + pages[1]] = b"nothing of use"
    site.has_host = True
    site.run(40)
    assert len(site.store.losses) == 1
    assert site.store.numbers(second)


def test_without_its_channel_table_nobody_could_read_a_boot():
    site = Site(FakeFlash(), QUICK)
    site.boot()
    site.run(20)
    (table,) = [name for name in site.flash.names("spill") if name[0] == "t"]
    site.flash.files["spill/" + table] = b"\x00" * 40
    second = site.boot()
    site.has_host = True
    site.run(10)
    assert [greeting.hello.boot for greeting in site.greetings] == [second]
    assert any("can't be delivered" in text for text in site.logs)
    assert site.flash.names("spill") == []


def test_what_is_left_is_delivered_also_if_nothing_is_to_be_kept_any_more():
    site = Site(FakeFlash(), QUICK)
    first = site.boot()
    site.run(20)
    site.spill = None
    site.has_host = True
    site.boot()
    site.run(10)
    assert site.store.numbers(first)
    assert site.app.spill is None and "spill" not in site.flash.files
    site.has_host = False
    site.run(60)
    assert site.flash.files == {}
    site.boot()
    assert site.app.spill is None


def test_events_are_kept_too():
    rules = [{"name": "moved", "deadband": 1, "sensor": "*"}]
    site = Site(FakeFlash(), QUICK, rules=rules)
    first = site.boot()
    site.run(40)
    count = site.app.events.next_seq
    assert count > 3
    site.app.save()
    site.boot()
    site.has_host = True
    site.run(10)
    assert site.store.next[first, 1] == count
    assert site.store.losses == []


def test_a_board_in_safe_mode_leaves_the_pages_alone():
    site = Site(FakeFlash(), QUICK)
    site.boot()
    site.run(20)

    class Safe:
        total, reset_cause, firmware_hash, is_safe, is_on_trial = 9, 4, 0, True, False
        last = (0, 0, 0)

    from fake_board import FakeBoard, FakePort
    from pyv_edge_node.app import App

    app = App(make_settings(), FakeBoard(), FakePort(), site.flash, boots=Safe)
    assert app.spill is None and app.session is app.own_session


def _settings(spill):
    return make_settings(spill=spill)


def test_settings_are_checked():
    for key, value in (("size_kb", 31), ("size_kb", 1025), ("pages_per_day", 0), ("after_s", 4)):
        text = str(raises(SettingsError, _settings, {key: value}))
        assert "board.json.spill." + key in text and repr(value) in text
    assert "spill.room" in str(raises(SettingsError, _settings, {"room": 1}))
    assert "in braces" in str(raises(SettingsError, _settings, []))
    assert make_settings(spill={}).spill == (64, 1000, 30)
    assert make_settings().spill is None
