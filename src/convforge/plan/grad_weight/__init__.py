"""Plans of kernels/grad_weight: how the sums are split over images, boxes and threads."""
