"""Settings for all tests."""

from hypothesis import settings

# Examples are timed by wall clock, which a busy machine stretches.
settings.register_profile("strata", deadline=None)
settings.load_profile("strata")
