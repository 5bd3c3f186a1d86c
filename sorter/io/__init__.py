"""Files in and out: one adapter per format, and the work folder."""
