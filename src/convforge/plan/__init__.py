"""Chooses how a convolution is computed, and has it computed: the only room that chooses."""

from convforge.plan.cache import clear_plans
from convforge.plan.describe import describe, explain, workspace_bytes
from convforge.plan.explanation import Explanation
from convforge.plan.fingerprint import fingerprint
from convforge.plan.prepared import Prepared
from convforge.plan.products import begin_grad_weight, grad_input, grad_weight, output
from convforge.plan.search.tuner import Tuned, TuningLog, tuning
from convforge.plan.store import WeightStore

__all__ = [
    "Explanation",
    "Prepared",
    "Tuned",
    "TuningLog",
    "WeightStore",
    "begin_grad_weight",
    "clear_plans",
    "describe",
    "explain",
    "fingerprint",
    "grad_input",
    "grad_weight",
    "output",
    "tuning",
    "workspace_bytes",
]
