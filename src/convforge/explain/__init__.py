"""Facts about convolution layers, stacks and models, computed from their specification: nothing is run.

trace     which inputs and weights make an output: the one source of every table, drawing and page
layers    a layer as a value, from a module or its spelling
formula   the size formula with its numbers
words     everything that is said, in English and Chinese
"""

from convforge.explain.formula import size_formula
from convforge.explain.layers import as_layer
from convforge.explain.spelling import LayerText, LayerTextError, parse_layer
from convforge.explain.trace import AxisTrace, Contact, Term, Trace, trace_of
from convforge.explain.words import Language, Words, language_of, set_language

__all__ = [
    "AxisTrace",
    "Contact",
    "Language",
    "LayerText",
    "LayerTextError",
    "Term",
    "Trace",
    "Words",
    "as_layer",
    "language_of",
    "parse_layer",
    "set_language",
    "size_formula",
    "trace_of",
]
