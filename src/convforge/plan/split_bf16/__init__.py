"""Plans of kernels/split_bf16: how many parts, which channels fold, what lies where."""
