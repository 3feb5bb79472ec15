"""Rules by their id: a principle in words, and a function that finds where it is not kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from convforge.explain.advice.finding import Finding
from convforge.explain.advice.subject import Subject
from convforge.explain.words import Words

Check = Callable[[Subject], Iterator[Finding]]


@dataclass(frozen=True, slots=True)
class Rule:
    """id: as findings name it. speaks_of_speed: its findings carry a measured time, if asked to measure.

    needs_measuring: nothing is found without measuring, for the clock alone decides.
    """

    id: str
    principle: Words
    check: Check
    speaks_of_speed: bool = False
    needs_measuring: bool = False


def rule(
    id: str, principle: Words, *, speaks_of_speed: bool = False, needs_measuring: bool = False
) -> Callable[[Check], Rule]:
    """Makes a rule of the check below it. Each family lists its rules as RULES, in the notes' order."""

    def made(check: Check) -> Rule:
        return Rule(id, principle, check, speaks_of_speed, needs_measuring)

    return made
