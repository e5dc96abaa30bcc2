"""The host's end of a link as a table: `HostSession` does what it says.

An action is a method there. What a host does of its own accord is not in it:
`welcome()` leads from GREETED to UP, `refuse()` back to WAITING.
"""

from . import message
from ._compat import const
from .session import STRANGER

WAITING = const(0)
GREETED = const(1)
UP = const(2)
STATES = ("WAITING", "GREETED", "UP")

# What comes, and the action it leads to in each state. What is not here only hosts send.
TABLE = {
    message.HELLO: ("_take_hello", "_take_hello", "_take_hello"),
    message.CHANNELS: ("_take_channels", "_take_channels", "_take_channels"),
    message.TIME_RESPONSE: ("_take_time", "_take_time", "_take_time"),
    message.DATA: ("_ask_hello", "_skip", "_take_data"),
    message.GAP: ("_ask_hello", "_skip", "_take_gap"),
    message.VITALS: ("_ask_hello", "_take_vitals", "_take_vitals"),
    message.LOG: ("_ask_hello", "_take_log", "_take_log"),
    message.RESULT: ("_ask_hello", "_skip", "_take_result"),
    STRANGER: ("_ask_hello", "_skip", "_ask_hello"),
}
# The state that an action leads to once it has been carried out.
LEADS = {"_take_hello": GREETED, "_take_channels": GREETED}
