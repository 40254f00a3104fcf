"""Layers: parameters, and calls to minillm.functional.  No formula stands here."""

from .attention import MultiHeadAttention
from .containers import ModuleList, Sequential
from .layers import Dropout, Embedding, LayerNorm, Linear, RMSNorm
from .module import Module, Parameter, evaluating
from .positional import PositionalEncoding
from .recurrent import GRU, LSTM, RNN
from .transformer import (
    FeedForward,
    Transformer,
    TransformerDecoder,
    TransformerDecoderLayer,
    TransformerEncoder,
    TransformerEncoderLayer,
)
from .weight_norm import WeightNorm, remove_weight_norm, weight_norm

__all__ = [
    "Dropout",
    "Embedding",
    "FeedForward",
    "GRU",
    "LSTM",
    "LayerNorm",
    "Linear",
    "Module",
    "ModuleList",
    "MultiHeadAttention",
    "Parameter",
    "PositionalEncoding",
    "RMSNorm",
    "RNN",
    "Sequential",
    "Transformer",
    "TransformerDecoder",
    "TransformerDecoderLayer",
    "TransformerEncoder",
    "TransformerEncoderLayer",
    "WeightNorm",
    "evaluating",
    "remove_weight_norm",
    "weight_norm",
]
