"""How many examples Hypothesis tries: the same ones each time, or with PYV_LONG=1 many new ones.

The normal profile is derandomized, so that a test that passed goes on passing.
The long one is for finding what nobody has thought of: `make check-long`. Either
has no deadline, since how fast a machine is, is nothing a test may depend on.
"""

import os

from hypothesis import HealthCheck, settings

IS_LONG = os.environ.get("PYV_LONG") == "1"
_LONG_FACTOR = 20

settings.register_profile("normal", derandomize=True, deadline=None)
settings.register_profile(
    "long",
    deadline=None,
    print_blob=True,
    # A large example now and then is slow to make: that is the price of many.
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("long" if IS_LONG else "normal")


def examples(count, **others):
    """Return settings for `count` examples, or 20 times as many in a long run."""
    return settings(max_examples=count * (_LONG_FACTOR if IS_LONG else 1), **others)
