"""Plans of kernels/fft: how long the transforms are, and what they hold."""
