"""Anything may be sent to the HTTP receiver: it answers as documented, and takes the next POST.

Requests go over real sockets, good ones that were altered as well as bytes of no sense; bodies
are documents of any shape. Whatever comes, no text or number of it gets into the log.
"""

import json
import logging
import threading
from contextlib import contextmanager
from itertools import pairwise

import pytest
from host.conftest import Log
from host.http_rig import ask, chunked, device, head, raw, reading, statuses
from hypothesis import given
from hypothesis import strategies as st
from profiles import examples
from pyv_edge_agent.adapters.http_receive import HTTPAdapter
from pyv_edge_agent.clock import SystemClock

DOCUMENTED = {200, 400, 404, 405, 411, 413, 414, 415, 422, 431, 505}  # of these requests
OF_BODIES = {200, 400, 413, 422}
MARK = "marker-"  # in each text that is drawn
NUMBER = 471_147  # in each number


class Receiver:
    """A receiver whose readings go nowhere."""

    def __init__(self):
        self.taken = []
        self.adapter = HTTPAdapter(device("up", readings_per_second=0), SystemClock())
        self.adapter.on_post(self.taken.append)
        self.adapter.start_server("127.0.0.1", 0)
        self.port = self.adapter.status()["listener"]["port"]

    def check_alive(self, log):
        assert ask(self.port, reading(1.0)).status == 200
        assert not [one for one in log.records if one.levelno >= logging.ERROR], log.whole()


@contextmanager
def logged():
    log, logger = Log(), logging.getLogger("pyv_edge_agent")
    logger.addHandler(log)
    try:
        yield log
    finally:
        logger.removeHandler(log)


@pytest.fixture(scope="module")
def receiver():
    threads = set(threading.enumerate())
    made = Receiver()
    yield made
    made.adapter.stop_server()
    left = set(threading.enumerate()) - threads
    for thread in left:
        thread.join(10)
    assert not [thread for thread in left if thread.is_alive()]


BODY = json.dumps([reading(), reading(2.5)]).encode()
SEEDS = [
    head(len(BODY)) + BODY,
    head(len(BODY), Idempotency_Key="k", Expect="100-continue", Connection="close") + BODY,
    head(0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked") + chunked(BODY),
    head(len(BODY)) + BODY + head(len(BODY)) + BODY,  # one behind the other
    b"GET /ingest HTTP/1.0\r\n\r\n",
]
TOKENS = [
    b"\r\n",
    b"\n",
    b"\x00",
    b" ",
    b":",
    b"\xff",
    b"0",
    b"-1",
    b"99999999999999999999",
    b"Transfer-Encoding: chunked\r\n",
    b"Content-Length: 7\r\n",
    b"Content-Encoding: gzip\r\n",
    b"Content-Type: application/senml+json\r\n",
    b"HTTP/1.1",
    b"x" * 9000,
    b"a: b\r\n" * 120,
]


@st.composite
def altered(draw):
    """Return a request with pieces of it replaced, doubled or left out."""
    request = draw(st.sampled_from(SEEDS))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(request)))
        end = min(len(request), start + draw(st.integers(0, 30)))
        piece = draw(st.one_of(st.sampled_from(TOKENS), st.binary(max_size=20)))
        request = request[:start] + piece + request[end:]
    return request


@examples(300)
@given(st.one_of(altered(), st.binary(max_size=300), st.sampled_from(SEEDS)))
def test_any_bytes_get_a_documented_answer_or_none(receiver, request_bytes):
    with logged() as log:
        answer = raw(receiver.port, request_bytes)
        assert not answer or answer.startswith(b"HTTP/1.1 ")
        assert set(statuses(answer)) - {100} <= DOCUMENTED
        receiver.check_alive(log)


@examples(60)
@given(altered(), st.lists(st.integers(0, 1000), max_size=4))
def test_how_bytes_are_split_makes_no_difference(receiver, request_bytes, cuts):
    places = sorted({0, *(cut for cut in cuts if cut < len(request_bytes)), len(request_bytes)})
    pieces = [request_bytes[start:end] for start, end in pairwise(places)]
    with logged() as log:
        whole, split = raw(receiver.port, request_bytes), raw(receiver.port, *pieces)
        if whole and split:
            assert statuses(whole) == statuses(split)
        receiver.check_alive(log)


TEXTS = st.text(max_size=8).map(lambda text: MARK + text)
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3).map(lambda sign: sign * NUMBER),
    st.sampled_from([NUMBER * 10**9, NUMBER * 10**400, NUMBER / 7, float("nan"), float("-inf")]),
    TEXTS,
    st.just(1_780_000_000),
)
KEYS = st.sampled_from(
    ["sensor_name", "timestamp", "value", "unit", "metadata", "quality"]
    + ["batch_id", "items", "count", "type", "rule_name"]
    + ["bn", "bt", "bu", "bv", "bver", "n", "t", "u", "v", "vs", "x_"]
)
DOCUMENTS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=5), st.dictionaries(KEYS, inner, max_size=8)),
    max_leaves=25,
)
READINGS = st.fixed_dictionaries(
    {"sensor_name": TEXTS, "timestamp": st.just(1_780_000_000), "value": LEAVES},
    optional={"unit": LEAVES, "metadata": DOCUMENTS},
)
TYPES = st.sampled_from(["application/json", "application/x-ndjson", "application/senml+json"])


@examples(300)
@given(st.one_of(DOCUMENTS, READINGS, st.lists(READINGS, max_size=4)), TYPES, st.booleans())
def test_any_document_is_taken_or_refused_and_never_logged(receiver, document, kind, is_wrapped):
    if is_wrapped:
        document = {"batch_id": "b", "items": [document], "count": 1}
    taken = len(receiver.taken)
    with logged() as log:
        answer = ask(receiver.port, document, Content_Type=kind)
        receiver.check_alive(log)
    assert answer.status in OF_BODIES
    for told in (log.whole(), json.dumps(answer.body)):
        assert MARK not in told
        assert str(NUMBER) not in told
    if answer.status == 200:
        assert len(receiver.taken) - taken == answer.body["accepted"] + 1
    else:
        assert len(receiver.taken) - taken <= 1, "some of what was refused was taken"
