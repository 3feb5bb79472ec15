"""Long kernels: products of spectra."""
