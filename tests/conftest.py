"""What holds for all tests."""

import os
import signal

from hypothesis import settings

# A machine that is busy is no defect: only what a property says counts, not how long it took.
settings.register_profile("here", deadline=None)
# Where a change is judged, the same cases are tried each time.
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")

# A shell lets what it starts in the background ignore SIGINT, and so would the programs of tests.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
