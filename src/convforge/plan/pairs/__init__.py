"""Plans of kernels/pairs: which two numbers make a word, and where they lie."""
