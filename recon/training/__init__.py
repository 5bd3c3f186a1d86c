"""What the stages of reconstruction share: training loop, weights with their card, results into the work folder."""
