"""Frames -> probabilities: the registry and the models."""
from src.models.registry import canonical
from src.models.registry import create
from src.models.registry import define_flags
from src.models.registry import hparam_names
from src.models.registry import hparams_from_flags
from src.models.registry import is_frame_level
from src.models.registry import names

__all__ = ["canonical", "create", "define_flags", "hparam_names", "hparams_from_flags", "is_frame_level", "names"]
