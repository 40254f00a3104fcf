"""Layers: parameters, and calls to minillm.functional.  No formula stands here."""

from .containers import ModuleList, Sequential
from .layers import Dropout, Embedding, LayerNorm, Linear
from .module import Module, Parameter, evaluating

__all__ = [
    "Dropout",
    "Embedding",
    "LayerNorm",
    "Linear",
    "Module",
    "ModuleList",
    "Parameter",
    "Sequential",
    "evaluating",
]
