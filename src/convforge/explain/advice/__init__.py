"""Advice on layers and models: every principle of the notes, and every pitfall, as a rule with evidence.

    print(advise("Conv2d(64, 64, 5, padding=2)", 56))

finding     what is found: evidence, fix, drawing, time      rule       a principle and its check
subject     layers where they stand: what rules look at      reading    from a layer or a model to a subject
advise      all rules over a subject, and the report         the rest   a family of rules each
"""

from convforge.explain.advice.advise import RULES, Advice, Principle, advise, principles
from convforge.explain.advice.finding import DrawingRequest, Finding, Fix, Timing
from convforge.explain.advice.rule import Rule

__all__ = [
    "RULES",
    "Advice",
    "DrawingRequest",
    "Finding",
    "Fix",
    "Principle",
    "Rule",
    "Timing",
    "advise",
    "principles",
]
