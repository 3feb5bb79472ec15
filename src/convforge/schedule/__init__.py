"""Tile choices as frozen values, the packed layout, and what makes a choice illegal."""

from convforge.schedule.layout import Layout, layout_of
from convforge.schedule.run_tiles import Along, RunTiles, Tile
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
    "Along",
    "ChannelsSchedule",
    "GatherSchedule",
    "GradWeightOuterSchedule",
    "GradWeightSchedule",
    "GradWeightWinogradSchedule",
    "Layout",
    "Order",
    "RunTiles",
    "Schedule",
    "Tile",
    "layout_of",
    "why_tile_illegal",
]
