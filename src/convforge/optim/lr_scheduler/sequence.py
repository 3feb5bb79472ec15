"""SequentialLR: one schedule after another."""

from __future__ import annotations

from bisect import bisect_right
from typing import Any

from convforge.optim.lr_scheduler.base import LRScheduler, set_value
from convforge.optim.lr_scheduler.plateau import ReduceLROnPlateau
from convforge.optim.optimizer import Optimizer


class SequentialLR(LRScheduler):
    """schedulers[0] until the epoch milestones[0], then schedulers[1] from its beginning, and so on.

    Raises ValueError where there is no schedule, one belongs to another optimizer or is ReduceLROnPlateau
    (whose step needs a measure), or there is not one milestone fewer than schedules.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        schedulers: list[LRScheduler],
        milestones: list[int],
        last_epoch: int = -1,
    ) -> None:
        if not schedulers:
            raise ValueError("SequentialLR expects at least one scheduler, but got no scheduler.")
        for i, schedule in enumerate(schedulers):
            _check_member(optimizer, schedule, i)
        if len(milestones) != len(schedulers) - 1:
            raise ValueError(
                "Sequential Schedulers expects number of schedulers provided to be one more than the number "
                f"of milestone points, but got number of schedulers {len(schedulers)} and the number of "
                f"milestones to be equal to {len(milestones)}"
            )
        self._schedulers = schedulers
        self._milestones = milestones
        self.last_epoch = last_epoch + 1
        self.optimizer = optimizer
        for group in optimizer.param_groups:
            set_value(group, "lr", group["initial_lr"])
        # Each schedule took its first step when it was made: take these back, and let the first one begin.
        _undo(self)
        first = schedulers[bisect_right(milestones, 0)]
        first._begin()
        self._last_lr = first.get_last_lr()

    def step(self) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Let the schedule whose turn it is set the next epoch's learning rates."""
        self.last_epoch += 1
        turn = bisect_right(self._milestones, self.last_epoch)
        schedule = self._schedulers[turn]
        if turn > 0 and self._milestones[turn - 1] == self.last_epoch:
            schedule._set_epoch(0)
        else:
            schedule.step()
        self._last_lr = schedule.get_last_lr()

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer; the schedules as their states."""
        return {**super().state_dict(), "_schedulers": [each.state_dict() for each in self._schedulers]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave."""
        state = dict(state_dict)
        for schedule, saved in zip(self._schedulers, state.pop("_schedulers")):
            schedule.load_state_dict(saved)
        super().load_state_dict(state)


def _check_member(optimizer: Optimizer, schedule: Any, index: int) -> None:
    if not hasattr(schedule, "optimizer"):
        raise TypeError(f"SequentialLR at index {index} should have `optimizer` as its attribute.")
    if isinstance(schedule, ReduceLROnPlateau):
        raise ValueError(
            "SequentialLR does not support `ReduceLROnPlateau` scheduler as it requires additional kwargs "
            f"to be specified when calling `step`, but got one at index {index} in the given sequence."
        )
    if schedule.optimizer is not optimizer:
        raise ValueError(
            "SequentialLR expects all schedulers to belong to the same optimizer, but got scheduler "
            f"{type(schedule).__name__} at index {index} of another one"
        )


def _undo(schedule: LRScheduler) -> None:
    if isinstance(schedule, SequentialLR):
        for each in schedule._schedulers:
            _undo(each)
    else:
        schedule.last_epoch -= 1
