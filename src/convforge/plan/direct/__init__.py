"""Plans of kernels/direct: schedules by their cost, the tables that tiles read."""
