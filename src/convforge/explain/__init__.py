"""Facts about convolution layers, stacks and models, computed from their specification: nothing is run.

trace     which inputs and weights make an output: the one source of every table, drawing and page
costs     parameters, multiplications, additions, bytes, each in a column of its own
receptive_field   what an output sees of the input: size, jump, start, exact by phase
explanation   one layer and one input: sizes, padding, costs, field, as a report
layers    a layer as a value, from a module or its spelling
formula   the size formula with its numbers
words     everything that is said, in English and Chinese
"""

from convforge.explain.costs import Costs, costs_of, costs_of_spec
from convforge.explain.explanation import Explanation, explain
from convforge.explain.formula import size_formula
from convforge.explain.layers import as_layer
from convforge.explain.receptive_field import (
    INPUT,
    ReceptiveField,
    Window,
    receptive_field,
    union,
    windows_of,
)
from convforge.explain.spelling import LayerText, LayerTextError, parse_layer
from convforge.explain.trace import AxisTrace, Contact, Term, Trace, trace_of
from convforge.explain.words import Language, Words, language_of, set_language

__all__ = [
    "INPUT",
    "AxisTrace",
    "Contact",
    "Costs",
    "Explanation",
    "Language",
    "LayerText",
    "LayerTextError",
    "ReceptiveField",
    "Term",
    "Trace",
    "Window",
    "Words",
    "as_layer",
    "costs_of",
    "costs_of_spec",
    "explain",
    "language_of",
    "parse_layer",
    "receptive_field",
    "set_language",
    "size_formula",
    "trace_of",
    "union",
    "windows_of",
]
