"""Outputs of training that later programs read: model_flags.json, checkpoints, exported models."""
