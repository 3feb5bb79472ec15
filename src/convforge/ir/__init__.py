"""Loops, vectors and memory as Python writes them; the only rooms that touch `llvmlite.ir`."""
