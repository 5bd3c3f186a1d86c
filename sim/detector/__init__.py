"""Photons to counts: the detector of a simulated run."""

from sim.detector.config import DetectorConfig, LayoutConfig
from sim.detector.detector import Detector, Exposure
from sim.detector.fluence import FluenceConfig, Shot, draw_shot
from sim.detector.masks import PixelMap, pixel_map
from sim.detector.noise import DeviceNoise, FrameNoise, Noise

__all__ = [
    "Detector",
    "DetectorConfig",
    "DeviceNoise",
    "Exposure",
    "FluenceConfig",
    "FrameNoise",
    "LayoutConfig",
    "Noise",
    "PixelMap",
    "Shot",
    "draw_shot",
    "pixel_map",
]
