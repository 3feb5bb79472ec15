"""Convolutions of bytes, summed exactly, and the ways from numbers to bytes and back."""
