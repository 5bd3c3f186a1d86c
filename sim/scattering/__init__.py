"""Far fields of bodies: what an ideal detector would see."""

from sim.scattering.farfield import FarFieldSettings, far_field
from sim.scattering.pixels import detector_geometry, intensity, pixel_q_inv_m, polarisation, solid_angle_sr

__all__ = [
    "FarFieldSettings",
    "detector_geometry",
    "far_field",
    "intensity",
    "pixel_q_inv_m",
    "polarisation",
    "solid_angle_sr",
]
