"""Pre-training on simulated pairs: the one place that sees both `sim` and `sorter`."""
