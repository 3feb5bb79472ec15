"""Facts about convolution layers, stacks and models, computed from their specification: nothing is run.

trace     which inputs and weights make an output: the one source of every table, drawing and page
costs     parameters, multiplications, additions, bytes, each in a column of its own
receptive_field   what an output sees of the input: size, jump, start, exact by phase
explanation   one layer and one input: sizes, padding, costs, field, as a report
solve     the parameters that lead to a wanted size or receptive field
compare   two layers, stacks or models side by side, with the time that they take
reconcile our counts beside those of other tools
advice    every principle and pitfall as a rule with evidence
summary   a model's table; tracing follows its forward by shape, nothing computed
layers    a layer as a value, from a module or its spelling
formula   the size formula with its numbers
words     everything that is said, in English and Chinese
"""

from convforge.explain.advice import Advice, Finding, Principle, advise, principles
from convforge.explain.compare import Comparison, compare
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
from convforge.explain.reconcile import Reconciliation, reconcile
from convforge.explain.solutions import Solution, Solutions
from convforge.explain.solve import solve
from convforge.explain.spelling import LayerText, LayerTextError, parse_layer
from convforge.explain.summary import Summary, summary
from convforge.explain.trace import AxisTrace, Contact, Term, Trace, trace_of
from convforge.explain.tracing import ModelFacts, ModuleCall, trace_model
from convforge.explain.words import Language, Words, language_of, set_language

__all__ = [
    "INPUT",
    "Advice",
    "AxisTrace",
    "Comparison",
    "Contact",
    "Costs",
    "Explanation",
    "Finding",
    "Language",
    "LayerText",
    "LayerTextError",
    "ModelFacts",
    "ModuleCall",
    "Principle",
    "ReceptiveField",
    "Reconciliation",
    "Solution",
    "Solutions",
    "Summary",
    "Term",
    "Trace",
    "Window",
    "Words",
    "advise",
    "as_layer",
    "compare",
    "costs_of",
    "costs_of_spec",
    "explain",
    "language_of",
    "parse_layer",
    "principles",
    "receptive_field",
    "reconcile",
    "set_language",
    "size_formula",
    "solve",
    "summary",
    "trace_model",
    "trace_of",
    "union",
    "windows_of",
]
