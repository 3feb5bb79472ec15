"""What a tuner has measured, as it is stored: a choice for each request, and the order of its sums.

A choice holds for a request (shapes, strides, dtype, precision, …) and a number of threads. The order of an
output's sum decides its bits, which may depend on neither threads, nor batch, nor strides: it is stored for
the sizes alone, holds for all requests of these sizes, and choices of another order are not followed.
"""

from __future__ import annotations

from dataclasses import replace

from convforge import runtime
from convforge.plan.request import OutputRequest
from convforge.schedule import Order
from convforge.target import Target


def nothing_stored() -> bool:
    """Whether there is certainly no choice of any request."""
    return runtime.notes.is_empty()


def read_choice(request: OutputRequest, target: Target, threads: int) -> str | None:
    """The choice for a request, as `str(choice)`."""
    found = runtime.notes.read(_choice_key(request, target, threads))
    return found if isinstance(found, str) else None


def write_choice(request: OutputRequest, target: Target, threads: int, choice: str) -> None:
    """Store the choice for a request."""
    runtime.notes.write(_choice_key(request, target, threads), choice)


def read_order(request: OutputRequest, target: Target) -> Order | None:
    """The order of sums that holds for a request's sizes; None: the planner's."""
    found = runtime.notes.read(_order_key(request, target))
    return tuple(found) if isinstance(found, list) else None


def write_order(request: OutputRequest, target: Target, order: Order) -> None:
    """Let an order of sums hold for a request's sizes."""
    runtime.notes.write(_order_key(request, target), list(order))


def _choice_key(request: OutputRequest, target: Target, threads: int) -> str:
    return f"choice|{request!r}|{threads} threads|{_machine(target)}"


def _order_key(request: OutputRequest, target: Target) -> str:
    sizes = replace(request.spec, batch=1)
    kind = f"{request.precision}|plain {request.plain}"
    return f"order|{sizes!r}|{kind}|{_machine(target)}"


def _machine(target: Target) -> str:
    """The processor, and the version of all that offers or runs candidates."""
    caches = f"{target.l1_bytes}|{target.l2_bytes}|{target.l3_bytes}|{target.l3_sharers}"
    version = runtime.generator_version("plan", "schedule")
    return f"{target.triple}|{target.feature_string}|{caches}|{version}"
