"""Probabilities -> updates: losses, optimizers, towers, the training loop, checkpoints, export."""
