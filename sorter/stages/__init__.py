"""Stages: one function each, from a work folder to a work folder."""
