"""Waiting for a thread to end, but not for ever."""

import logging
import threading

logger = logging.getLogger(__name__)


def join(thread: threading.Thread | None, timeout_s: float) -> None:
    """Wait until `thread` has ended; log it if it doesn't, and go on without it."""
    if thread is None or thread.ident is None or thread is threading.current_thread():
        return  # never begun, or it is us
    thread.join(timeout_s)
    if thread.is_alive():
        logger.warning("thread %s does not end; going on without it", thread.name)
