"""An output of no elements has none to fold replicated padding onto."""

import pytest

import convforge
from convforge import nn


def test_a_transposed_layer_with_nothing_to_repeat_is_refused() -> None:
    layer = nn.ConvTranspose1d(1, 1, 1, padding=((0, 1),), padding_mode="replicate")
    with pytest.raises(RuntimeError, match="needs an element to repeat"):
        layer(convforge.zeros(1, 1, 1))
