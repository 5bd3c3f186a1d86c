"""Static HTML of a work folder: one file for a person who wants to know what was recorded."""

from apps.report.build import report

__all__ = ["report"]
