"""Per-frame mathematics: hits, scaling, polar pictures, features; pure functions."""
