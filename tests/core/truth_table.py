"""What rules do, as data: RULES.md prints it, test_truth_table.py runs it on both interpreters.

A case is (title, rule, steps); a step is

    (seconds, what comes, state afterwards, event)

What comes is a value, "bad" for a reading of bad quality, "tick" for no reading
at all, or (value or "bad", seconds) for a reading that was taken at another time
than it comes. Seconds count from the start, a round minute. Values are of a
channel in tenths. An event is "fires", "resolves" or "".
"""

_ = ""
N, P, F = "inactive", "pending", "firing"
FIRES, RESOLVES = "fires", "resolves"

CASES = (
    # -- levels ------------------------------------------------------------------------
    (
        "A level itself is neither above nor below",
        {"above": 30},
        (
            (0, 30, N, _),
            (1, 30.5, F, FIRES),
            (2, 45, F, _),
            (3, 30, N, RESOLVES),
            (4, 29, N, _),
            (5, 31, F, FIRES),
        ),
    ),
    (
        "Between `above` and `clear` it stays as it is",
        {"above": 30, "clear": 28},
        (
            (0, 29, N, _),
            (1, 31, F, FIRES),
            (2, 29, F, _),
            (3, 28.5, F, _),
            (4, 28, N, RESOLVES),
            (5, 29, N, _),
            (6, 30, N, _),
            (7, 31, F, FIRES),
        ),
    ),
    (
        "Below, with a level to come back to",
        {"below": 5, "clear": 7},
        (
            (0, 5, N, _),
            (1, 4.5, F, FIRES),
            (2, 6.5, F, _),
            (3, 7, N, RESOLVES),
            (4, -3, F, FIRES),
        ),
    ),
    (
        "Outside two levels",
        {"outside": [2, 8], "clear": [3, 7]},
        (
            (0, 2, N, _),
            (1, 1.5, F, FIRES),
            (2, 2.5, F, _),
            (3, 8.5, F, _),
            (4, 7.5, F, _),
            (5, 7, N, RESOLVES),
            (6, 8, N, _),
            (7, 9, F, FIRES),
            (8, 3, N, RESOLVES),
        ),
    ),
    (
        "A level that the channel can't show is compared exactly",
        {"above": "30.05", "clear": "29.95"},
        (
            (0, 30, N, _),
            (1, 30.1, F, FIRES),
            (2, 30, F, _),
            (3, 29.9, N, RESOLVES),
        ),
    ),
    # -- for, keep_for, cooldown -------------------------------------------------------
    (
        "`for`: true all the time, at every reading",
        {"above": 30, "for": 10},
        (
            (0, 31, P, _),
            (5, 32, P, _),
            (9, 31, P, _),
            (10, 31, F, FIRES),
            (11, 31, F, _),
            (12, 30, N, RESOLVES),
        ),
    ),
    (
        "`for` begins anew after a reading that is not",
        {"above": 30, "for": 10},
        (
            (0, 31, P, _),
            (9, 30, N, _),
            (10, 31, P, _),
            (19, 31, P, _),
            (20, 31, F, FIRES),
        ),
    ),
    (
        "`for` and `clear`: what began goes on until it is clear",
        {"above": 30, "clear": 28, "for": 10},
        (
            (0, 31, P, _),
            (5, 29, P, _),
            (10, 29, F, FIRES),
            (11, 28, N, RESOLVES),
        ),
    ),
    (
        "A gap between readings counts as more of the same",
        {"above": 30, "for": 10},
        (
            (0, 31, P, _),
            (60, 31, F, FIRES),
        ),
    ),
    (
        "From five seconds of silence on the clock alone is enough",
        {"above": 30, "for": 3, "keep_for": 3},
        (
            (0, 31, P, _),
            (4, "tick", P, _),
            (5, "tick", F, FIRES),
            (6, 29, F, _),
            (10, "tick", F, _),
            (11, "tick", N, RESOLVES),
        ),
    ),
    (
        "`keep_for`: over all the time, at every reading",
        {"above": 30, "keep_for": 10},
        (
            (0, 31, F, FIRES),
            (5, 29, F, _),
            (14, 31, F, _),
            (15, 29, F, _),
            (24, 29, F, _),
            (25, 29, N, RESOLVES),
        ),
    ),
    (
        "`cooldown` counts from the last time it fired",
        {"above": 30, "cooldown": 60},
        (
            (0, 31, F, FIRES),
            (1, 29, N, RESOLVES),
            (2, 31, P, _),
            (30, 29, N, _),
            (40, 31, P, _),
            (59, 31, P, _),
            (60, 31, F, FIRES),
            (61, 29, N, RESOLVES),
            (130, 31, F, FIRES),
        ),
    ),
    (
        "A `cooldown` that ends in silence lets it fire",
        {"above": 30, "cooldown": 60},
        (
            (0, 31, F, FIRES),
            (1, 29, N, RESOLVES),
            (50, 31, P, _),
            (59, "tick", P, _),
            (60, "tick", F, FIRES),
        ),
    ),
    # -- rate --------------------------------------------------------------------------
    (
        "A rate is known once readings cover half of its window",
        {"rate_above": 1, "window": 10},
        (
            (0, 20, N, _),
            (2, 80, N, _),
            (5, 22, N, _),
            (10, 30, N, _),
            (15, 40, F, FIRES),
            (20, 40, N, RESOLVES),
        ),
    ),
    (
        "A fall of more than one a minute, over at one in two minutes",
        {"rate_below": -1, "per": "1m", "window": "1m", "clear": "-0.5"},
        (
            (0, 20, N, _),
            (60, 19, N, _),
            (120, 17.5, F, FIRES),
            (180, 16.5, F, _),
            (240, 16, N, RESOLVES),
        ),
    ),
    (
        "After a gap a rate is that over the gap",
        {"rate_above": 1, "window": 10},
        (
            (0, 20, N, _),
            (100, 119, N, _),
            (200, 220, F, FIRES),
        ),
    ),
    # -- stuck, deadband ---------------------------------------------------------------
    (
        "Stuck: all readings of a time within a range",
        {"stuck": 60, "within": "0.5"},
        (
            (0, 20, N, _),
            (30, 20.5, N, _),
            (59, 20, N, _),
            (60, 20.5, F, FIRES),
            (90, 20, F, _),
            (91, 19.5, N, RESOLVES),
            (150, 20, N, _),
            (151, 20, F, FIRES),
        ),
    ),
    (
        "Stuck needs readings: silence is something else",
        {"stuck": 60},
        (
            (0, 20, N, _),
            (30, 20, N, _),
            (70, "tick", N, _),
            (71, 20, F, FIRES),
        ),
    ),
    (
        "Deadband: an event of a moment whenever it has moved on",
        {"deadband": 1},
        (
            (0, 20, N, _),
            (1, 21, N, _),
            (2, 21.5, N, FIRES),
            (3, 22.5, N, _),
            (4, 20.5, N, _),
            (5, 20, N, FIRES),
            (60, "tick", N, _),
        ),
    ),
    (
        "Deadband that must last, and does so in silence",
        {"deadband": 1, "for": 10},
        (
            (0, 20, N, _),
            (1, 22, P, _),
            (2, 20.5, N, _),
            (3, 22, P, _),
            (12, "tick", P, _),
            (13, "tick", N, FIRES),
            (14, 21.5, N, _),
            (30, "tick", N, _),
        ),
    ),
    # -- missing measurements ----------------------------------------------------------
    (
        "Missing: no measurement for a time; bad readings are none",
        {"missing": 30},
        (
            (20, "tick", N, _),
            (25, 20, N, _),
            (54, "bad", N, _),
            (54, "tick", N, _),
            (55, "tick", F, FIRES),
            (56, "bad", F, _),
            (57, 20, N, RESOLVES),
        ),
    ),
    (
        "Missing from the beginning",
        {"missing": 30, "for": 10, "keep_for": 5},
        (
            (29, "tick", N, _),
            (30, "tick", P, _),
            (39, "tick", P, _),
            (40, "tick", F, FIRES),
            (41, 20, F, _),
            (46, 20, N, RESOLVES),
        ),
    ),
    (
        '`on_missing = "fire"`: a missing measurement counts as true',
        {"above": 30, "missing": 30, "on_missing": "fire"},
        (
            (0, 20, N, _),
            (29, "tick", N, _),
            (30, "tick", F, FIRES),
            (31, 20, N, RESOLVES),
        ),
    ),
    (
        '`on_missing = "resolve"`: it counts as false',
        {"above": 30, "missing": 30, "on_missing": "resolve"},
        (
            (0, 31, F, FIRES),
            (29, "tick", F, _),
            (30, "tick", N, RESOLVES),
            (31, 31, F, FIRES),
        ),
    ),
    (
        '`on_missing = "hold"`: it counts for nothing, however long',
        {"above": 30, "for": 40, "missing": 30, "on_missing": "hold"},
        (
            (0, 31, P, _),
            (29, "tick", P, _),
            (100, "tick", P, _),
            (101, 31, F, FIRES),
        ),
    ),
    (
        "A reading from before the tick that found it missing does not shorten `for`",
        {"above": 30, "for": 60, "missing": 10, "on_missing": "fire"},
        (
            (0, 20, N, _),
            (10, "tick", P, _),
            (11, (31, 9), P, _),
            (69, 31, P, _),
            (70, 31, F, FIRES),
        ),
    ),
    # -- bad readings ------------------------------------------------------------------
    (
        '`on_bad = "hold"`: nothing happens, and silence counts for nothing',
        {"above": 30, "for": 10, "on_bad": "hold"},
        (
            (0, 31, P, _),
            (5, "bad", P, _),
            (15, "tick", P, _),
            (20, "bad", P, _),
            (21, 31, F, FIRES),
            (22, "bad", F, _),
            (23, 29, N, RESOLVES),
        ),
    ),
    (
        '`on_bad = "resolve"`: a bad reading counts as false; `clear` is about values',
        {"above": 30, "clear": 28, "on_bad": "resolve"},
        (
            (0, 31, F, FIRES),
            (1, "bad", N, RESOLVES),
            (2, 29, F, FIRES),
            (3, 28, N, RESOLVES),
            (4, "bad", N, _),
            (5, 29, N, _),
        ),
    ),
    (
        '`on_bad = "fire"`: a bad reading counts as true',
        {"above": 30, "for": 10, "on_bad": "fire"},
        (
            (0, "bad", P, _),
            (9, "bad", P, _),
            (10, "bad", F, FIRES),
            (11, 20, N, RESOLVES),
            (12, 31, P, _),
            (22, "bad", F, FIRES),
        ),
    ),
    # -- windows -----------------------------------------------------------------------
    (
        "Mean of a sliding window, in twelve steps",
        {"above": 30, "aggregate": "mean", "window": 60},
        (
            (0, 28, N, _),
            (20, 33, F, FIRES),
            (40, 29, N, RESOLVES),
            (59, 30, N, _),
            (60, 29, F, FIRES),
            (80, 29, N, RESOLVES),
        ),
    ),
    (
        "Mean of whole minutes of the clock, judged when they are over",
        {"above": 30, "aggregate": "mean", "window": 60, "step": 60},
        (
            (0, 40, N, _),
            (59, 30, N, _),
            (60, 20, F, FIRES),
            (119, 20, F, _),
            (120, 50, N, RESOLVES),
            (300, 20, F, FIRES),
        ),
    ),
    (
        "Smallest of a window",
        {"above": 30, "aggregate": "min", "window": 12},
        (
            (0, 25, N, _),
            (6, 31, N, _),
            (11, 40, N, _),
            (12, 32, F, FIRES),
            (13, 30, N, RESOLVES),
        ),
    ),
    (
        "Greatest of a window",
        {"below": 5, "aggregate": "max", "window": 12, "clear": 6},
        (
            (0, 9, N, _),
            (11, 4, N, _),
            (12, 3, F, FIRES),
            (13, 5.5, F, _),
            (14, 6, N, RESOLVES),
        ),
    ),
    (
        "Sum of a window",
        {"above": 10, "aggregate": "sum", "window": 12},
        (
            (0, 5, N, _),
            (5, 5, N, _),
            (6, 0.5, F, FIRES),
            (12, 1, N, RESOLVES),
        ),
    ),
    (
        "Number of measurements in a window, seen with the next of them",
        {"below": 3, "aggregate": "count", "window": 12, "step": 12},
        (
            (0, 5, N, _),
            (5, 5, N, _),
            (11, 5, N, _),
            (12, 5, N, _),
            (23, "bad", N, _),
            (24, 5, F, FIRES),
        ),
    ),
    (
        "Range of a window",
        {"above": 3, "aggregate": "range", "window": 12},
        (
            (0, 5, N, _),
            (5, 8, N, _),
            (6, 8.5, F, FIRES),
            (12, 8, N, RESOLVES),
        ),
    ),
    # -- late readings, and clocks -----------------------------------------------------
    (
        "A reading older than the newest changes nothing",
        {"above": 30},
        (
            (10, 20, N, _),
            (11, (35, 9), N, _),
            (12, 31, F, FIRES),
            (13, (20, 11), F, _),
        ),
    ),
    (
        "It goes into a window all the same, and counts there with the next reading",
        {"above": 30, "aggregate": "mean", "window": 60},
        (
            (20, 30, N, _),
            (25, (32, 15), N, _),
            (26, 30, F, FIRES),
        ),
    ),
    (
        "A reading that comes later than `late` does not fire",
        {"above": 30, "late": 60},
        (
            (100, (31, 39), P, _),
            (110, (31, 49), P, _),
            (115, (31, 55), F, FIRES),
            (120, (29, 56), N, RESOLVES),
        ),
    ),
    (
        "Nor does the time that passes after a reading that came late",
        {"above": 30, "for": 10, "late": 60},
        (
            (100, (31, 20), P, _),
            (120, "tick", P, _),
            (130, (31, 40), P, _),
            (140, "tick", P, _),
            (145, 31, F, FIRES),
        ),
    ),
    (
        "A reading that comes late may resolve",
        {"above": 30, "late": 60},
        (
            (0, 31, F, FIRES),
            (200, (20, 1), N, RESOLVES),
        ),
    ),
    (
        "A clock that was wrong by more than a minute and is set back",
        {"above": 30, "for": 10},
        (
            (500, 31, P, _),
            (20, 31, P, _),
            (29, 31, P, _),
            (30, 31, F, FIRES),
        ),
    ),
    (
        "A clock that is set back by less: readings are out of order until it has caught up",
        {"above": 30, "for": 10},
        (
            (70, 31, P, _),
            (20, 31, P, _),
            (69, 29, P, _),
            (80, 31, F, FIRES),
        ),
    ),
)
