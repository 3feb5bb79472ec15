"""Learning-rate schedules: torch.optim.lr_scheduler's."""

from convforge.optim.lr_scheduler.base import LRScheduler
from convforge.optim.lr_scheduler.decay import (
    ConstantLR,
    CosineAnnealingLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    MultiStepLR,
    PolynomialLR,
    StepLR,
)
from convforge.optim.lr_scheduler.one_cycle import OneCycleLR
from convforge.optim.lr_scheduler.plateau import ReduceLROnPlateau
from convforge.optim.lr_scheduler.sequence import SequentialLR

__all__ = [
    "ConstantLR",
    "CosineAnnealingLR",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "OneCycleLR",
    "PolynomialLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
]
