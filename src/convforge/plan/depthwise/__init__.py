"""Plans of kernels/depthwise: which of its ways serves a layer, and at what cost."""
