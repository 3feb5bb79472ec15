"""What processor this is: lanes, registers, caches, features. By feature, never by name."""

from convforge.target.target import Target

__all__ = ["Target"]
