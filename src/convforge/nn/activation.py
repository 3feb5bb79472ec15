"""All activations under one name, as `torch.nn.modules.activation`."""

from __future__ import annotations

from . import rectifier, smooth
from .rectifier import *  # noqa: F403
from .smooth import *  # noqa: F403

__all__: list[str] = []
__all__ += rectifier.__all__
__all__ += smooth.__all__
