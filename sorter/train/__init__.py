"""Fitting a network to the hits of a work folder."""
