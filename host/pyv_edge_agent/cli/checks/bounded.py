"""Carries checks out: all at once, each in a thread of its own that nobody waits for too long.

A name server that is silent, a disk that hangs or a server that never answers can hold up a
call for minutes, and most such calls can't be ended. So they are left behind.
"""

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from ...clock import Clock
from ...exit_status import TOLD
from .finding import Check, Finding

WITHIN_S = 30.0  # of all checks together


@dataclass(frozen=True)
class Job:
    """A check that is to be carried out; `about` names it if it does not come back."""

    about: Check
    carry_out: Callable[[], list[Finding]]


class _Running:
    def __init__(self, job: Job) -> None:
        self.about = job.about
        self.found: queue.SimpleQueue[list[Finding]] = queue.SimpleQueue()
        threading.Thread(
            target=self._run, args=(job,), daemon=True, name=f"check-{job.about.name}"
        ).start()

    def _run(self, job: Job) -> None:
        try:
            found = job.carry_out()
        except PermissionError as error:
            found = [job.about.warn(f"can't be told: {error}", "run this as root (sudo)")]
        except TOLD as error:
            found = [_untold(job.about, " ".join(str(error).split()))]
        except Exception as error:  # top of a thread
            found = [_untold(job.about, f"internal error: {type(error).__name__}: {error}")]
        self.found.put(found)


def carry_out(
    jobs: Iterable[Job], clock: Clock, within_s: float = WITHIN_S
) -> Iterator[list[Finding]]:
    """Yield what each job has found, in their order.

    Of one that takes more than `within_s`, that it can't be told.
    """
    end_ms = clock.monotonic_ms() + round(within_s * 1000)
    for running in [_Running(job) for job in jobs]:
        left_s = (end_ms - clock.monotonic_ms()) / 1000
        try:
            yield running.found.get(timeout=max(left_s, 0.001))
        except queue.Empty:
            yield [_untold(running.about, f"no result within {within_s:g} s")]


def _untold(about: Check, why: str) -> Finding:
    return about.warn(f"can't be told: {why}", "look at it by hand")
