"""Shipped weights with their cards."""
