"""Which form of the metrics a client asks for by its Accept header (RFC 9110, 12.5.1)."""

JSON = "application/json"
TEXT = "text/plain"
OPENMETRICS = "application/openmetrics-text"
_PARTS_MAX = 32


def accepted_form(accept: str) -> str:
    """Return the form that is wanted most; JSON, unless text is asked for by its name."""
    weights = {JSON: 0.0, TEXT: 0.0, OPENMETRICS: 0.0}
    for part in accept.split(",")[:_PARTS_MAX]:
        kind, *parameters = (one.strip().lower() for one in part.split(";"))
        if kind in weights:
            weights[kind] = max(weights[kind], _weight(parameters))
    wanted = max(weights, key=lambda kind: weights[kind])
    return wanted if weights[wanted] else JSON


def _weight(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return min(max(float(value), 0.0), 1.0)
            except ValueError:
                return 0.0
    return 1.0
