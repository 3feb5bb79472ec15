"""Tuning: the best few schedules raced by the clock, and the winners kept."""
