"""When which device is polled."""

from pyv_edge_agent.poll_schedule import PollSchedule


def told(schedule, until_ms, step_ms=10):
    """Return (time, devices) of each poll from 0 to `until_ms`."""
    found = []
    for now_ms in range(0, until_ms, step_ms):
        due = schedule.take(now_ms)
        if due is not None:
            found.append((now_ms, due))
    return found


def test_devices_share_the_common_interval_unless_they_have_their_own():
    schedule = PollSchedule(100, 0)
    schedule.set([("a", 0), ("fast", 40), ("b", 0)], 0)
    assert told(schedule, 130) == [
        (0, ["a", "fast", "b"]),
        (40, ["fast"]),
        (80, ["fast"]),
        (100, ["a", "b"]),
        (120, ["fast"]),
    ]
    assert (schedule.shortest_ms, schedule.count, schedule.due_ms) == (40, 3, 160)


def test_common_interval_goes_on_without_devices():
    schedule = PollSchedule(50, 0)
    schedule.set([], 0)
    assert told(schedule, 120) == [(0, []), (50, []), (100, [])]


def test_missed_polls_are_not_made_up_for():
    schedule = PollSchedule(50, 0)
    schedule.set([("a", 0)], 0)
    assert schedule.take(0) == ["a"]
    assert schedule.take(1020) == ["a"]
    assert schedule.take(1030) is None
    assert 1050 <= schedule.due_ms <= 1070
    assert schedule.missed_total == 19
    schedule.set([("a", 0), ("b", 0), ("c", 20)], 1030)
    assert schedule.take(1030) == ["c"]
    assert schedule.take(1110) == ["a", "b", "c"]
    assert schedule.missed_total == 19 + 3 + 1 + 1


def test_other_devices_leave_the_rhythm_of_the_rest_as_it_was():
    schedule = PollSchedule(100, 0)
    schedule.set([("a", 0), ("b", 30)], 0)
    assert schedule.take(0) == ["a", "b"]
    schedule.set([("a", 0), ("c", 70)], 20)
    assert schedule.take(20) == ["c"]
    assert schedule.take(60) is None
    assert schedule.take(100) == ["a", "c"]
