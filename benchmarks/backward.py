"""`python -m benchmarks backward`: the gradients of input and weight together, layer by layer.

Timed is `autograd.grad(output, (input, weight), grad, retain_graph=True)`, in both libraries.
"""

from __future__ import annotations

import argparse

from benchmarks import layers_command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    layers_command.add_arguments(parser, peers="torch", batch=16)


def run(options: argparse.Namespace) -> int:
    """As `layers`."""
    tables = layers_command.measure(options, "gradients")
    return layers_command.status([row for rows in tables.values() for row in rows])
