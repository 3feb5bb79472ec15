"""Tile choices as frozen values, the packed layout, and what makes a choice illegal."""

from convforge.schedule.layout import Layout, layout_of
from convforge.schedule.schedule import (
    GatherSchedule,
    GradWeightOuterSchedule,
    GradWeightSchedule,
    why_tile_illegal,
)

__all__ = [
    "GatherSchedule",
    "GradWeightOuterSchedule",
    "GradWeightSchedule",
    "Layout",
    "layout_of",
    "why_tile_illegal",
]
