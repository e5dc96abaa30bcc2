"""What may be seen of a store: at this machine or beyond it, by the policy in force.

For commands and for the page alike. Only constants are here, since parsers of commands need
them and nothing else.
"""

KINDS = ("readings", "events", "gaps", "summaries")
READINGS, EVENTS, GAPS, SUMMARIES = KINDS
PERIODS_MS = {"minute": 60_000, "hour": 3_600_000}
PERIOD = "minute"  # unless another one is asked for
