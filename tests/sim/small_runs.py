"""Recipes made small, for tests."""

SMALL = {
    "layout.n_px": 32,
    "min_radius_nm": 20,
    "max_radius_nm": 30,
    "multi_distance_nm": 80,
    "detector.beam_stop_radius_px": 2,
    "detector.gap_px": 2,
}
