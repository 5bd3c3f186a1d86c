"""3-D Bragg coherent diffraction: from a pattern to shape and strain, by networks, refinement and iterative phasing.

Objects and patterns are (n, n, n) or batches (B, n, n, n); the middle of each axis is index n // 2, as in
`sim.scattering.bragg`. Constraints in Fourier space are kept in the order of the FFT: the modulus does not feel the shift of
the object that this leaves out.
"""
