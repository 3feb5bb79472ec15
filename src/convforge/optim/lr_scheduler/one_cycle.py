"""OneCycleLR: up to a large learning rate and down to a tiny one, with momentum the other way round."""

from __future__ import annotations

import math
from typing import Any

from convforge.optim.lr_scheduler.base import LRScheduler, checked_optimizer
from convforge.optim.optimizer import Optimizer


class OneCycleLR(LRScheduler):
    """One cycle over `total_steps` (or epochs × steps_per_epoch) steps; step it after every batch.

    lr: max_lr / div_factor → max_lr over the first pct_start of the steps → max_lr / div_factor /
    final_div_factor; three_phase comes down as slowly as it went up first. momentum (or beta1):
    max_momentum → base_momentum → max_momentum.

    Raises ValueError for lengths that are not positive, pct_start outside [0, 1], an unknown anneal_strategy,
    lists that do not fit the groups, an optimizer without momentum, and a step too many.
    Source: Smith & Topin, Super-convergence, 2017.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | list[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.85,
        max_momentum: float | list[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        self.optimizer = checked_optimizer(optimizer)
        self.total_steps = _length(total_steps, epochs, steps_per_epoch)
        if not isinstance(pct_start, float) or not 0 <= pct_start <= 1:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ValueError(f"Expected float between 0 and 1 pct_start, but got {pct_start}")
        if anneal_strategy not in {"cos", "linear"}:
            raise ValueError(
                f"anneal_strategy must be one of 'cos' or 'linear', instead got {anneal_strategy}"
            )
        self._schedule_phases = _phases(self.total_steps, pct_start, three_phase)
        self._anneal_func_type = anneal_strategy
        self.cycle_momentum = cycle_momentum
        rates = _for_each_group("max_lr", optimizer, max_lr)
        if last_epoch == -1:
            for group, rate in zip(optimizer.param_groups, rates):
                group["initial_lr"] = rate / div_factor
                group["max_lr"] = rate
                group["min_lr"] = group["initial_lr"] / final_div_factor
        if cycle_momentum:
            self._begin_momentum(base_momentum, max_momentum, last_epoch)
        super().__init__(optimizer, last_epoch)

    def _begin_momentum(self, base: Any, largest: Any, last_epoch: int) -> None:
        defaults = self.optimizer.defaults
        if "momentum" not in defaults and "betas" not in defaults:
            raise ValueError("optimizer must support momentum or beta1 with `cycle_momentum` option enabled")
        self.use_beta1 = "betas" in defaults
        largest = _for_each_group("max_momentum", self.optimizer, largest)
        base = _for_each_group("base_momentum", self.optimizer, base)
        if last_epoch == -1:
            for group, high, low in zip(self.optimizer.param_groups, largest, base):
                self._set_momentum(group, high)
                group["max_momentum"] = high
                group["base_momentum"] = low

    def _set_momentum(self, group: dict[str, Any], momentum: float) -> None:
        if self.use_beta1:
            group["betas"] = (momentum, *group["betas"][1:])
        else:
            group["momentum"] = momentum

    def get_lr(self) -> list[Any]:
        """The learning rate of each group; sets the momentum too."""
        self._warn_outside_step()
        step = self.last_epoch
        if step > self.total_steps:
            raise ValueError(
                f"Tried to step {step} times. The specified number of total steps is {self.total_steps}"
            )
        start = 0.0
        phase = self._schedule_phases[0]
        for phase in self._schedule_phases:
            if step <= phase["end_step"] or phase is self._schedule_phases[-1]:
                break
            start = phase["end_step"]
        part = (step - start) / (phase["end_step"] - start)
        rates: list[Any] = []
        for group in self.optimizer.param_groups:
            rates.append(self._between(group[phase["start_lr"]], group[phase["end_lr"]], part))
            if self.cycle_momentum:
                ends = group[phase["start_momentum"]], group[phase["end_momentum"]]
                self._set_momentum(group, self._between(*ends, part))
        return rates

    def _between(self, start: float, end: float, part: float) -> float:
        if self._anneal_func_type == "cos":
            return end + (start - end) / 2.0 * (math.cos(math.pi * part) + 1)
        return (end - start) * part + start


def _length(total_steps: Any, epochs: Any, steps_per_epoch: Any) -> int:
    if total_steps is not None:
        _check_positive("total_steps", total_steps)
        return total_steps
    if epochs is None or steps_per_epoch is None:
        raise ValueError("You must define either total_steps OR (epochs AND steps_per_epoch)")
    _check_positive("epochs", epochs)
    _check_positive("steps_per_epoch", steps_per_epoch)
    return epochs * steps_per_epoch


def _check_positive(name: str, value: Any) -> None:
    if not isinstance(value, int) or value <= 0:
        raise ValueError(f"Expected positive integer {name}, but got {value}")


def _phases(total_steps: int, pct_start: float, three_phase: bool) -> list[dict[str, Any]]:
    up = float(pct_start * total_steps) - 1
    corners: list[tuple[float, str, str]] = [(up, "max_lr", "base_momentum")]
    if three_phase:
        corners.append((float(2 * pct_start * total_steps) - 2, "initial_lr", "max_momentum"))
    corners.append((total_steps - 1, "min_lr", "max_momentum"))
    phases: list[dict[str, Any]] = []
    lr, momentum = "initial_lr", "max_momentum"
    for end_step, end_lr, end_momentum in corners:
        phases.append(
            {
                "end_step": end_step,
                "start_lr": lr,
                "end_lr": end_lr,
                "start_momentum": momentum,
                "end_momentum": end_momentum,
            }
        )
        lr, momentum = end_lr, end_momentum
    return phases


def _for_each_group(name: str, optimizer: Optimizer, value: Any) -> list[Any]:
    groups = len(optimizer.param_groups)
    if not isinstance(value, (list, tuple)):
        return [value] * groups
    if len(value) != groups:
        raise ValueError(
            f"{name} must have the same length as optimizer.param_groups: {groups}, not {len(value)}"
        )
    return list(value)
