"""Patterns against brute force, and that no pattern takes more than one walk over the name."""

from check import numbers_from, raises
from pyv_edge_core.errors import FieldError
from pyv_edge_core.pattern import SIZE_MAX, Pattern


def fits(pattern, name):
    """Return what `matches` should: tried out, star by star."""
    if not pattern:
        return not name
    if pattern[0] == "*":
        return any(fits(pattern[1:], name[start:]) for start in range(len(name) + 1))
    if not name or pattern[0] not in ("?", name[0]):
        return False
    return fits(pattern[1:], name[1:])


def _words(letters, size_max):
    words = level = [""]
    for _ in range(size_max):
        level = [word + letter for word in level for letter in letters]
        words = words + level
    return words


class Counted:
    """A name that counts how many of its characters were looked at."""

    def __init__(self, text):
        self._text = text
        self.steps_total = 0

    def __iter__(self):
        for character in self._text:
            self.steps_total += 1
            yield character


def test_every_short_pattern_on_every_short_name():
    names = _words("ab.", 3)
    for text in _words("ab*?", 3):
        if text:
            pattern = Pattern(text)
            for name in names:
                assert pattern.matches(name) is fits(text, name), (text, name)


def test_longer_patterns_agree_with_brute_force():
    numbers = numbers_from(7)
    hits = 0
    for _ in range(400):
        text = "".join(["ab.**?"[next(numbers) % 6] for _ in range(1 + next(numbers) % 8)])
        pattern = Pattern(text)
        for _ in range(3):
            name = "".join(["ab."[next(numbers) % 3] for _ in range(next(numbers) % 10)])
            assert pattern.matches(name) is fits(text, name), (text, name)
            hits += fits(text, name)
    assert hits > 100


def test_what_users_write():
    cases = (
        ("camera.*", "camera.face", True),
        ("camera.*", "camera.", True),
        ("camera.*", "camera", False),
        ("camera.*", "camera.a.b", True),
        ("camera.*", "xcamera.a", False),
        ("*.temperature", "greenhouse.temperature", True),
        ("*.temperature", ".temperature", True),
        ("*.temperature", "temperature", False),
        ("room-?.co2", "room-1.co2", True),
        ("room-?.co2", "room-12.co2", False),
        ("room-?.co2", "room-.co2", False),
        ("*", "", True),
        ("?", "", False),
        ("a", "A", False),
        ("a.b", "axb", False),
        ("a+(b)\\$^", "a+(b)\\$^", True),
        ("]", "]", True),
        ("{a,b}", "a", False),
    )
    for text, name, expected in cases:
        assert Pattern(text).matches(name) is expected, (text, name)


def test_characters_outside_ascii_count_as_one():
    cases = (
        ("caf?", "caf\u00e9", True),
        ("?", "\U0001f511", True),
        ("??", "\U0001f511", False),
        ("\u00e9*", "\u00e9.x", True),
        ("e*", "\u00e9", False),
        ("caf\u00e9", "cafe\u0301", False),  # the same to the eye: names are compared as they are
        ("stra\u00dfe", "strasse", False),
    )
    for text, name, expected in cases:
        assert Pattern(text).matches(name) is expected, (text, name)


def test_name_with_anything_in_it_is_no_pattern():
    for name in ("*", "?", "[a]", "\x00", "a\nb"):
        assert Pattern("a").matches(name) is False, name
        assert Pattern("*").matches(name) is True, name
    assert Pattern("a?b").matches("a\nb") is True


def test_work_is_one_walk_over_the_name():
    name = "a" * 10000
    for text in ("*a*a*a*b", "*a" * 31 + "*b", "*" * SIZE_MAX, "?*" * 31 + "b", "a*" * 32):
        counted = Counted(name)
        assert Pattern(text).matches(counted) is (text[-1] != "b"), text
        assert counted.steps_total == len(name), text


def test_walk_ends_where_nothing_can_fit_any_more():
    counted = Counted("b" * 10000)
    assert Pattern("a*").matches(counted) is False
    assert counted.steps_total == 1
    counted = Counted("abcd" * 1000)
    assert Pattern("abc?x").matches(counted) is False
    assert counted.steps_total == 5


def test_pathological_patterns_still_fit_what_they_should():
    name = "a" * 10000
    assert Pattern("*a*a*a*b").matches(name + "b") is True
    assert Pattern("*a*a*a*b").matches(name) is False
    assert Pattern("*?*?*?*").matches("ab") is False
    assert Pattern("*?*?*?*").matches("abc") is True


def test_pattern_keeps_its_text():
    assert Pattern("a.*").text == "a.*"


def test_size_limits():
    assert Pattern("x" * SIZE_MAX).matches("x" * SIZE_MAX) is True
    assert Pattern("x" * SIZE_MAX).matches("x" * (SIZE_MAX - 1)) is False
    error = raises(FieldError, Pattern, "x" * (SIZE_MAX + 1))
    assert str(SIZE_MAX) in str(error)


def test_what_is_no_pattern_is_refused():
    for value in ("", "[a]", "a[", "a\tb", "a\n", "\x00", None, 5, True, b"a", ["a"], {}):
        error = raises(FieldError, Pattern, value)
        assert repr(value) in str(error) and "* and ?" in str(error), value


def test_half_a_surrogate_pair_is_refused():
    for half in (chr(0xD800), chr(0xDFFF)):
        raises(FieldError, Pattern, "a" + half)
    assert Pattern(chr(0xD7FF) + chr(0xE000)).matches(chr(0xD7FF) + chr(0xE000)) is True
