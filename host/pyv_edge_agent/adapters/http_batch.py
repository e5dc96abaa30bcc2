"""The readings in the body of a POST, of whatever form.

    one JSON object | a list | {"batch_id", "timestamp", "count", "items"} | NDJSON | SenML JSON

All or nothing: one reading that is wrong refuses the whole, and the answer names the first
few by their place. It never repeats a value.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ..errors import SubmissionError
from ..http_exchange import RefusalError
from ..submission import SAMPLES_MAX, Sample, check_samples
from .http_body import JSON, NDJSON, SENML, check_key
from .mapping import Mapper, read_json
from .senml import SenMLPack

FAULTS_MAX = 5  # that an answer names; it counts all
OWN_ITEMS = ("gap", "summary", "audit_checkpoint")


class Batch(NamedTuple):
    """What a body has."""

    samples: list[Sample]
    key: str  # by which it is known again; "": none
    ignored_count: int  # items that another agent sends beside readings


def read_batch(body: bytes, kind: str, mapper: Mapper, pack: SenMLPack) -> Batch:
    """Return the readings in a body, `pack` those of SenML. Raises RefusalError."""
    if kind == NDJSON:
        return Batch(_read_lines(body, mapper), "", 0)
    try:
        document = read_json(body)
    except SubmissionError as error:
        if kind == JSON and _is_lines(body):
            return Batch(_read_lines(body, mapper), "", 0)
        raise RefusalError(400, f"the body {error}") from None
    if kind == SENML:
        if not isinstance(document, list):
            raise RefusalError(422, "a SenML pack must be a list")
        return Batch(_read_all("", document, lambda one: [pack.sample(one)]), "", 0)
    if _is_envelope(document):
        return _read_envelope(document, mapper)
    try:
        found = mapper.items(document)
        if not isinstance(found, list):
            return Batch(_checked(mapper.map_one(found)), "", 0)
    except SubmissionError as error:
        raise _refusal([str(error)], 1) from None
    return Batch(_read_all("", found, mapper.map_one), "", 0)


def _checked(samples: list[Sample]) -> list[Sample]:
    check_samples(samples)
    return samples


def _is_envelope(document: Any) -> bool:
    if not isinstance(document, dict) or "items" not in document:
        return False
    return "batch_id" in document or document.keys() <= {"items", "timestamp", "count"}


def _read_envelope(document: dict[str, Any], mapper: Mapper) -> Batch:
    key, items = document.get("batch_id", ""), document["items"]
    if not isinstance(key, str) or not isinstance(items, list):
        raise RefusalError(422, "batch_id must be a text, and items a list")
    if document.get("count", len(items)) != len(items):
        raise RefusalError(422, f"count is not how many items there are: {len(items)}")
    if "batch_id" in document:
        check_key(key, "batch_id")
    samples = _read_all("items", items, lambda one: [] if _is_other(one) else mapper.map_one(one))
    return Batch(samples, key, sum(map(_is_other, items)))


def _is_other(item: Any) -> bool:
    """Return whether an item is what another agent tells beside its readings."""
    return isinstance(item, dict) and (item.get("type") in OWN_ITEMS or "rule_name" in item)


def _is_lines(body: bytes) -> bool:
    """Return whether what is no JSON as a whole begins with a line that is."""
    first, _, rest = body.strip().partition(b"\n")
    if not rest:
        return False
    try:
        read_json(first)
    except SubmissionError:
        return False
    return True


def _read_lines(body: bytes, mapper: Mapper) -> list[Sample]:
    def read(line: bytes) -> list[Sample]:
        return mapper.map_one(read_json(line)) if line.strip() else []

    return _read_all("line", body.rstrip().split(b"\n"), read)


def _read_all(
    where: str, found: Sequence[Any], read: Callable[[Any], list[Sample]]
) -> list[Sample]:
    """Return all samples. Raises RefusalError with the first few faults."""
    if len(found) > SAMPLES_MAX:
        raise _too_many()
    samples: list[Sample] = []
    faults: list[str] = []
    count = 0
    for index, one in enumerate(found):
        try:
            samples += _checked(read(one))
        except SubmissionError as error:
            count += 1
            if len(faults) < FAULTS_MAX:
                place = f"line {index + 1}" if where == "line" else f"{where}[{index}]"
                faults.append(f"{place}: {error}")
        if len(samples) > SAMPLES_MAX:
            raise _too_many()
    if faults:
        raise _refusal(faults, count)
    return samples


def _too_many() -> RefusalError:
    return RefusalError(413, f"more than {SAMPLES_MAX} readings: send fewer at once")


def _refusal(faults: list[str], count: int) -> RefusalError:
    return RefusalError(422, "nothing of it is stored", faults, count)
