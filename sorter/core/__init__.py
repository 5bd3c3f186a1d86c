"""Nouns and contracts of shotsort; numpy only.

Conventions, stated once and meant everywhere
----------------------------------------------
Axes
    A stack of frames is ``(N, ny, nx)``; the slow detector axis comes first. A position on the detector is ``(y, x)`` in
    pixels, and pixel ``(i, j)`` covers ``[i - 0.5, i + 0.5] x [j - 0.5, j + 0.5]``: whole numbers are pixel centres.
Frame of reference
    Right-handed: the beam travels along +z, x grows with the column index, y with the row index.
Scattering vector
    ``q = k_out - k_in`` with ``|k| = 2 pi / wavelength``, so ``|q| = (4 pi / wavelength) sin(two_theta / 2)``;
    ``two_theta`` is always the angle between the beam and the scattered ray.
Waves and Fourier transforms
    ``exp(+i k z - i omega t)``; absorption is a positive imaginary part of the refractive index. The far field of a density
    is ``integral rho(r) exp(-i q.r) d3r``; discrete transforms are unnormalised forward and 1/N backward (numpy's "backward").
Orientation
    Unit quaternions ``(w, x, y, z)``; ``q`` turns body coordinates into laboratory coordinates.
Masks
    In memory a mask is ``bad_pixels``: bool, True = the pixel must not be used. Bit fields of file formats stay in `sorter.io`.
Identity
    A frame is named by its ``frame_id`` (uint64, 63 bits used), never by a row number.
"""
