"""Groups of frames from their embedding: reduction, density, layout, assignment, agreement with a truth."""
