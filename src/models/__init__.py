"""Frames -> probabilities: the registry and the models."""
from src.models.registry import create
from src.models.registry import define_flags
from src.models.registry import hparams_from_flags
from src.models.registry import names

__all__ = ["create", "define_flags", "hparams_from_flags", "names"]
