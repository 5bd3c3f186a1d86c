"""How many disks? Structure classes from coherent speckle (Shen et al., arXiv 2211.08194)."""
