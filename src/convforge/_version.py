"""The version, read by the build and by the object cache."""

__version__ = "0.1.0"
