"""Reading tables: each fault names the place, the value and what is allowed; none is lost."""

from check import raises
from pyv_edge_core.errors import FieldError, TableError
from pyv_edge_core.quantity import decimal
from pyv_edge_core.table import Table, choice, text


def test_values_are_taken_once_and_read():
    faults = []
    given = {"a": "1.5", "b": 2}
    table = Table(given, "t", faults)
    assert "a" in table and "c" not in table
    assert table.take("a", decimal) == (15, 1)
    assert "a" not in table
    assert table.take("a", decimal, "gone") == "gone"
    assert table.take("c", decimal) is None
    assert table.take("b", decimal) == (2, 0)
    table.end(("a", "b", "c"))
    assert faults == []
    assert given == {"a": "1.5", "b": 2}, "the caller's table is as it was"


def test_faults_name_path_key_and_value():
    faults = []
    table = Table({"a": "x", "b": 1, "c": 2, "z": 3}, "rules[4]", faults)
    assert table.take("a", decimal, (7, 0)) == (7, 0)
    table.fault("b", "is wrong")
    assert table.take("b", decimal) == (1, 0)
    table.end(("a", "b", "c"))
    assert faults == [
        "rules[4].a: 'x' is not a number (at most 1e30, 32 characters)",
        "rules[4].b: is wrong",
        "rules[4].c: does not go with the other keys here",
        "rules[4].z: is not known; there are a, b, c",
    ]
    assert table.path == "rules[4]"


def test_left_keys_are_named_in_order():
    faults = []
    Table({"z": 1, "y": 1, "x": 1}, "t", faults).end(("y",))
    assert [fault.split(":")[0] for fault in faults] == ["t.x", "t.y", "t.z"]


def test_what_is_no_table_is_one_fault():
    for values in (None, 3, "above", [], ["name"]):
        faults = []
        table = Table(values, "rules[0]", faults)
        table.fault("a", "follows from that")
        assert table.take("a", decimal, 5) == 5
        table.end(("a",))
        assert faults == ["rules[0]: must be a table"], values


def test_texts():
    for value in ("a", "a b", "x" * 96, "\u00e9" * 48, "{rule}", "\xa0", "~"):
        assert text(value) == value
    for value in (
        "",
        "x" * 97,
        "\u00e9" * 49,
        "a\nb",
        "\x00",
        "\x1f",
        "a\x7f",
        "\x9b1m",
        3,
        None,
        b"a",
        ["a"],
    ):
        error = raises(FieldError, text, value)
        assert str(error) == "%r is not a text of 1 to 96 bytes" % (value,), value


def test_choices():
    read = choice(("hold", "fire"))
    assert read("hold") == "hold"
    for value in ("", "Hold", "f", None, 1, ["hold"]):
        error = raises(FieldError, read, value)
        assert str(error) == "%r is not one of hold, fire" % (value,), value


def test_errors_of_tables_are_their_faults():
    error = TableError(["one", "two"])
    assert isinstance(error, ValueError)
    assert str(error) == "one\ntwo" and error.faults == ["one", "two"]
