"""One vector per frame, streaming."""
