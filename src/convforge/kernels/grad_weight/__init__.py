"""The gradient with respect to weights, and so the bias: a family for each shape of the sums."""
