"""Plans of kernels/dot: layers of bytes, and arrays that become bytes."""
