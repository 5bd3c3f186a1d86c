"""The field's earlier ways of sorting, kept as baselines."""
