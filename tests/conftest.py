"""Settings for all tests."""

import os
import signal

from hypothesis import settings

# Examples are timed by wall clock, which a busy machine stretches.
settings.register_profile("strata", deadline=None)
settings.load_profile("strata")

# Where several tests run at a time, each has one core. This is read when torch is imported, here and in subprocesses.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# Shells start what they put in the background with Ctrl-C ignored, and programs hand that on to those they start.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
