"""Settings for all tests."""

import signal

from hypothesis import settings

# Examples are timed by wall clock, which a busy machine stretches.
settings.register_profile("strata", deadline=None)
settings.load_profile("strata")

# Shells start what they put in the background with Ctrl-C ignored, and programs hand that on to those they start.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
