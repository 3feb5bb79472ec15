"""Tile choices as frozen values, the packed layout, and what makes a choice illegal."""

from convforge.schedule.layout import Layout, layout_of
from convforge.schedule.schedule import (
    ChannelsSchedule,
    GatherSchedule,
    GradWeightOuterSchedule,
    GradWeightSchedule,
    GradWeightWinogradSchedule,
    Order,
    Schedule,
    why_tile_illegal,
)

__all__ = [
    "ChannelsSchedule",
    "GatherSchedule",
    "GradWeightOuterSchedule",
    "GradWeightSchedule",
    "GradWeightWinogradSchedule",
    "Layout",
    "Order",
    "Schedule",
    "layout_of",
    "why_tile_illegal",
]
