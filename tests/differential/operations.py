"""The table of subjects that both interpreters are put through. CPython runs this very code too.

To add a subject, say `clock`:

1. `clock_operations.py`, portable: import what is tested, write a function
   (state, *arguments) for each operation, bytes as hex, and make a `Subject` of
   them (see script.py; ring_operations.py is the model). `look` returns every
   length and counter: it is compared after each step.
2. Add it to SUBJECTS below.
3. In scripts.py write a strategy for its scripts, of arguments within what the
   docstrings allow, and add it to SCRIPTS under the same name. The test says so
   if an operation, or an error that the subject declares, is never reached.
4. In test_worker.py add a line of its source to MUTATIONS: what harm must show.
5. If the interpreters differ and may, say so in accepted.py; else mend the core.

`echo 'SCRIPT' | micropython tests/differential/worker.py` runs one script.
"""

import json

from frame_operations import FRAME
from message_operations import MESSAGE
from name_operations import PATTERN, READING
from privacy_operations import HMAC, PRIVACY
from ring_operations import RECORD_RING, RING_BUFFER
from rule_operations import RULES, WATCH
from script import run
from window_operations import QUANTITY, ROLLUP, WINDOW

_ALL = (
    RECORD_RING,
    RING_BUFFER,
    FRAME,
    MESSAGE,
    PATTERN,
    READING,
    QUANTITY,
    WINDOW,
    ROLLUP,
    RULES,
    WATCH,
    HMAC,
    PRIVACY,
)
SUBJECTS = {subject.name: subject for subject in _ALL}


def answer(line):
    """Return the trace, as a line of JSON, of the script in a line of JSON."""
    script = json.loads(line)
    return json.dumps(run(SUBJECTS[script["subject"]], script))
