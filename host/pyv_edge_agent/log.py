"""Log lines: JSON for machines (the default), plain text for people.

The root logger gets one handler to stdout and loses those it had, so that no
library's line comes twice.
"""

import json
import logging
import sys
from datetime import datetime, timezone


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return `record` as JSON: timestamp, level, logger, message, exception if any.

        What a call gave as `extra={"fields": {...}}` is added.
        """
        moment = datetime.fromtimestamp(record.created, timezone.utc)
        line = {
            "timestamp": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        line.update(getattr(record, "fields", {}))
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def _complain(record: logging.LogRecord) -> None:
    """Report a line that could not be written, unless nobody reads stdout any more."""
    if not isinstance(sys.exc_info()[1], BrokenPipeError):
        logging.StreamHandler().handleError(record)


def setup_logging(level: str, form: str) -> None:
    """Send everything of at least `level` to stdout as "json" or "text" lines."""
    handler = logging.StreamHandler(sys.stdout)
    handler.handleError = _complain  # type: ignore[method-assign]
    if form == "json":
        handler.setFormatter(JsonFormatter())
    else:
        handler.setFormatter(
            logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s")
        )
    root = logging.getLogger()
    root.handlers.clear()
    root.addHandler(handler)
    root.setLevel(level)
    # At DEBUG it would log the whole URL of each POST, with whatever secret is in its query.
    logging.getLogger("urllib3").setLevel(max(logging.INFO, root.level))
