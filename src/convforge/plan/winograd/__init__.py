"""Plans of kernels/winograd: tiles of which size, cut how, on vectors or on a tile unit."""
