"""Loops, vectors and memory as Python writes them; what is emitted is text."""
