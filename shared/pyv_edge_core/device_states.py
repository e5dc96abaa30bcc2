"""The board's end of a link as a table: `DeviceSession` does what it says.

An action is a method there.
"""

from . import message
from ._compat import const
from .session import TIMEOUT

GREETING = const(0)
REFUSED = const(1)
UP = const(2)
STATES = ("GREETING", "REFUSED", "UP")

# What comes, and the action it leads to in each state. What is not here only boards send.
TABLE = {
    TIMEOUT: ("_say_hello", "_greet", "_greet"),
    message.WELCOME: ("_resume", "_resume", "_resume"),
    message.ACK: ("_skip", "_skip", "_acknowledge"),
    message.TIME_REQUEST: ("_tell_time", "_tell_time", "_tell_time"),
    message.HELLO_REQUEST: ("_take_challenge", "_greet", "_greet"),
    message.REFUSAL: ("_be_quiet", "_be_quiet", "_be_quiet"),
    message.COMMAND: ("_skip", "_skip", "_take_request"),
    message.CONFIG: ("_skip", "_skip", "_take_request"),
}
# The state that an action leads to once it has been carried out.
LEADS = {"_resume": UP, "_greet": GREETING, "_be_quiet": REFUSED}
