"""Optimizers and learning-rate schedules with the names, options and trajectories of torch.optim."""

from convforge.optim import lr_scheduler
from convforge.optim.adam import Adam, AdamW
from convforge.optim.optimizer import Optimizer
from convforge.optim.sgd import SGD

__all__ = ["SGD", "Adam", "AdamW", "Optimizer", "lr_scheduler"]
