"""What the plans of all output families share: one kernel, cut into tasks, bound to its parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ctypes import c_double, c_float
from math import isfinite
from typing import Generic, Protocol, TypeVar

from convforge.ir.element import Element
from convforge.kernels.contract import FLAG_BYTES, fill
from convforge.plan.job import Job
from convforge.runtime import address_of


class OutputKernel(Protocol):
    """A kernel of an output family: what its description tells."""

    @property
    def name(self) -> str:
        """A short name."""
        ...

    @property
    def element(self) -> Element:
        """The dtype."""
        ...

    @property
    def lanes(self) -> int:
        """Elements of a vector."""
        ...


K = TypeVar("K", bound=OutputKernel)


class KernelPlan(Generic[K]):
    """A plan that is called with addresses and runs its kernel's tasks.

    A family's plan sets: threads, tasks, workspace_bytes (scratch of one thread), kernel, reads_in_place,
    _job, and the parameters by `_give`.
    """

    threads: int
    tasks: int
    workspace_bytes: int
    kernel: K
    reads_in_place: bool = False
    _job: Job

    def _give(self, names: Sequence[str], values: Mapping[str, int]) -> None:
        """Set what the kernel reads."""
        self._parameters = fill(names, values)
        self._parameters_at = address_of(self._parameters)

    def __call__(self, x: int, packed_weights: int, packed_bias: int, y: int) -> bool | None:
        """Compute the output at y from the input at x: addresses of arrays that the caller keeps alive.

        Weights and bias are packed by the plan's `weights`; a bias of 0 is none. False where the plan cannot
        be used for these values (`OutputPlan`).
        """
        self._job.run(
            self.tasks,
            self.threads,
            self.workspace_bytes,
            self._parameters_at,
            x,
            packed_weights,
            packed_bias,
            y,
        )

    def describe(self) -> str:
        """Kernel, vectors, tasks, how the input is read, memory: one line."""
        bits = 8 * self.kernel.lanes * self.kernel.element.compute_bytes
        way = "input read in place" if self.reads_in_place else "input packed"
        return (
            f"{self.kernel.name} ({bits}-bit vectors), {self.tasks} tasks on {self.threads} threads, {way}, "
            f"{self.workspace_bytes / 1e6:.2f} MB a thread"
        )


class WatchedPlan(KernelPlan[K]):
    """A plan of a kernel that serves ordinary values only: it sets a flag where it meets others.

    Weights that are not ordinary are packed with NaN in front.
    """

    def __call__(self, x: int, packed_weights: int, packed_bias: int, y: int) -> bool:
        """As a `KernelPlan`; False where the weights or an image are to be served by another family."""
        front = c_float if self.kernel.element.compute_bytes == 4 else c_double
        return isfinite(front.from_address(packed_weights).value) and self._job.run_watched(
            FLAG_BYTES,
            self.tasks,
            self.threads,
            self.workspace_bytes,
            self._parameters_at,
            x,
            packed_weights,
            packed_bias,
            y,
        )
