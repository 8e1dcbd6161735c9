"""How many examples the property tests draw: a quarter every day, all of them where STRATA_THOROUGH is set."""

import os

from hypothesis import HealthCheck, settings

THOROUGH = "STRATA_THOROUGH" in os.environ


def examples(number: int) -> settings:
    """Settings of a property test that draws so many examples when it is thorough."""
    # Examples are timed by wall clock, which a busy machine stretches; of few, chance may filter most.
    few = [] if THOROUGH else [HealthCheck.filter_too_much]
    count = number if THOROUGH else max(number // 4, 2)
    return settings(max_examples=count, deadline=None, suppress_health_check=few)
