"""Sort frames while they are recorded."""
