"""What holds for all tests."""

import os

from hypothesis import settings

# A machine that is busy is no defect: only what a property says counts, not how long it took.
settings.register_profile("here", deadline=None)
# Where a change is judged, the same cases are tried each time.
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")
