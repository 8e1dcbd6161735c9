"""The depth-aware scheduler: routing files, presets, and resolving a routing to plain arrays for one model."""

from strata.hierarchy.ramp import Ramp
from strata.layers.balance import Balance
from strata.layers.drawing import draw_schedule
from strata.layers.routing import DEFAULT_ROUTING, Blend, ModelSize, Routing, Rule, presets
from strata.layers.schedule import Schedule
from strata.layers.table import schedule_table

__all__ = [
    "DEFAULT_ROUTING",
    "Balance",
    "Blend",
    "ModelSize",
    "Ramp",
    "Routing",
    "Rule",
    "Schedule",
    "draw_schedule",
    "presets",
    "schedule_table",
]
