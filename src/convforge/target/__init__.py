"""What processor this is: lanes, registers, caches, features. By feature, never by name."""

from convforge.target.target import Target, mask_features

__all__ = ["Target", "mask_features"]
