"""Networks: encoders, the FactorVAE, and how they are stored."""
