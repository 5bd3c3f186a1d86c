"""What is in the beam: shapes in their own frame, and bodies placed in the laboratory."""

from sim.particles import library
from sim.particles.bodies import Bodies, place
from sim.particles.shape import Shape, layered, union

__all__ = ["Bodies", "Shape", "layered", "library", "place", "union"]
