"""What the plans on a tile unit share: whether it may be used, what its steps cost, its tables."""
