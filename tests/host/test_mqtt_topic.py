"""Topics and channels: filters are those of the library; names say where a reading is from."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.client import Client, topic_matches_sub
from paho.mqtt.enums import CallbackAPIVersion
from pyv_edge_agent.adapters.topic import TOPIC_SIZE_MAX, ChannelPattern, TopicFilter

LEVELS = st.sampled_from(["", "a", "b", "a+", "#b", "+", "#", "$SYS", "ä"])
FILTERS = st.lists(LEVELS, min_size=1, max_size=4).map("/".join)
TOPICS = st.lists(st.sampled_from(["", "a", "b", "$SYS"]), min_size=1, max_size=5).map("/".join)


def channel(topics, topic, pattern=""):
    made = TopicFilter(topics)
    levels = made.levels(topic)
    return None if levels is None else ChannelPattern(pattern, made).name(levels)


@given(text=FILTERS)
def test_filter_is_taken_if_the_library_takes_it(text):
    client = Client(CallbackAPIVersion.VERSION2)
    try:
        client.subscribe(text)
        is_taken = True
    except ValueError:
        is_taken = False
    try:
        TopicFilter(text)
    except ValueError:
        assert not is_taken
    else:
        assert is_taken


@given(text=FILTERS, topic=TOPICS)
def test_filter_fits_what_the_library_says_it_fits(text, topic):
    try:
        made = TopicFilter(text)
    except ValueError:
        return
    assert (made.levels(topic) is not None) == topic_matches_sub(text, topic)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "must not be empty"),
        ("a/b+", r"'b\+': \+ and # stand alone"),
        ("#/a", "# must be the last level"),
        ("$share/us/a", "is shared"),
        ("ä" * (TOPIC_SIZE_MAX // 2 + 1), "is longer than 65535 bytes"),
    ],
)
def test_filter_that_is_wrong_says_why(text, problem):
    with pytest.raises(ValueError, match=problem):
        TopicFilter(text)


@pytest.mark.parametrize(
    ("topics", "topic", "pattern", "name"),
    [
        ("site/+/t", "site/north/t", "", "north"),
        ("+/+/t", "n/hall/t", "", "n.hall"),
        ("site/#", "site/a/b/c", "", "a.b.c"),
        ("site/+/#", "site/a/b/c", "", "a.b.c"),
        ("site/#", "site", "", ""),
        ("site/t", "site/t", "", ""),
        ("site/t", "site/t", "hall", "hall"),
        ("+/+/#", "a/b/c/d", "{2}-{1}({#})", "b-a(c.d)"),
        ("/".join("+" * 11), "a/b/c/d/e/f/g/h/i/j/k", "{11}.{1}", "k.a"),
        ("site/+", "other/a", "", None),
        ("site/+", "site/a/b", "", None),
        ("site/+/t", "site//t", "", ""),
        ("site/#", "site/a.b/c", "", "a%2Eb.c"),
        ("site/#", "site/a.b", "", "a%2Eb"),
        ("site/#", "site/a%2Eb", "", "a%252Eb"),
        ("+/+/t", "n.1/hall/t", "", "n%2E1.hall"),
        ("site/+/t", "site/n.1/t", "", "n.1"),
        ("site/+/#", "site/n.1/a.b/c", "{1}-{#}", "n.1-a%2Eb.c"),
    ],
)
def test_channel_is_named_by_what_the_wildcards_stand_for(topics, topic, pattern, name):
    assert channel(topics, topic, pattern) == name


@pytest.mark.parametrize(
    ("topics", "pattern", "problem"),
    [
        ("a/+", "{2}", r"\{2\}: the topic has 1 \+"),
        ("a/+", "{#}", "needs a topic that ends with #"),
        ("a/+", "{0}", "braces hold the number"),
        ("a/+", "{1", "braces hold the number"),
        ("a/+", "{name}", "braces hold the number"),
    ],
)
def test_pattern_that_is_wrong_says_why(topics, pattern, problem):
    with pytest.raises(ValueError, match=problem):
        ChannelPattern(pattern, TopicFilter(topics))


@given(
    one=st.lists(st.text("ab.%", min_size=1), min_size=1),
    other=st.lists(st.text("ab.%", min_size=1), min_size=1),
)
def test_two_topics_are_never_one_channel(one, other):
    names = {channel("#", "/".join(levels)) for levels in (one, other)}
    assert len(names) == (1 if one == other else 2)
