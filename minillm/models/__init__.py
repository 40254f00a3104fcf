"""Models: a config dataclass on top, then the layers in the order of the paper; one file each."""

from .gpt2 import GPT2Config, GPT2LMHeadModel
from .output import ModelOutput

__all__ = ["GPT2Config", "GPT2LMHeadModel", "ModelOutput"]
