"""Probabilities -> updates: losses, optimizers, towers, the training loop, its footprint."""
