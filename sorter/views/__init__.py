"""Random copies of a frame that keep its physics."""
