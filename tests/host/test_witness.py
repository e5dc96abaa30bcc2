"""Who is to blame for a refusal: what is refused, or the sink."""

from pyv_edge_agent.witness import Witness


def test_nothing_is_to_blame_before_something_else_was_accepted():
    witness = Witness()
    witness.accepted()  # before, which shows nothing
    assert [witness.refused("a") for _ in range(3)] == [False, False, False]
    witness.accepted()
    assert witness.refused("a") is True


def test_each_has_a_witness_of_its_own():
    witness = Witness()
    assert witness.refused("a") is False
    witness.accepted()
    assert witness.refused("b") is False
    assert witness.refused("a") is True


def test_what_is_forgotten_is_refused_for_the_first_time_again():
    witness = Witness()
    assert not witness.is_wanted
    assert witness.refused("a") is False
    assert witness.is_wanted
    witness.accepted()
    witness.forget("a")
    assert not witness.is_wanted
    assert witness.refused("a") is False
    witness.forget("b")  # no error


def test_doubt_takes_back_only_what_nothing_speaks_for():
    witness = Witness()
    witness.doubt("a")  # no error
    assert witness.refused("a") is False
    witness.doubt("a")
    witness.accepted()
    assert witness.refused("a") is False
    witness.accepted()
    witness.doubt("a")
    assert witness.refused("a") is True
