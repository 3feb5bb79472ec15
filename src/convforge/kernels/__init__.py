"""Kernels: each file emits one family, opens with its equation, and keeps its contract in `contract`."""
