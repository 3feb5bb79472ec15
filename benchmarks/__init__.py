"""Benchmarks of convforge against the libraries people use today. `python -m benchmarks --help`."""
