"""Size, orientation and kind of a single particle from one wide-angle frame."""
