"""Fine-tuning: which parameters learn, and the ways to let few of them do."""

from .adapters import add_adapters
from .bitfit import bitfit
from .classify import FinetuneSettings, TextClassifier, choose_what_learns, finetune
from .freezing import (
    GradualUnfreezing,
    TrainableParameters,
    freeze,
    layerwise_groups,
    trainable_parameters,
    unfreeze,
)
from .lora import (
    LoraConfig,
    add_lora,
    lora_state_dict,
    merge_lora,
    remove_lora,
    set_adapter,
    unmerge_lora,
)
from .peft_files import load_lora, save_lora
from .prompt_tuning import PromptTuning
from .trainable_files import load_trainable, save_trainable

__all__ = [
    "FinetuneSettings",
    "GradualUnfreezing",
    "LoraConfig",
    "PromptTuning",
    "TextClassifier",
    "TrainableParameters",
    "add_adapters",
    "add_lora",
    "bitfit",
    "choose_what_learns",
    "finetune",
    "freeze",
    "layerwise_groups",
    "load_lora",
    "load_trainable",
    "lora_state_dict",
    "merge_lora",
    "remove_lora",
    "save_lora",
    "save_trainable",
    "set_adapter",
    "trainable_parameters",
    "unfreeze",
    "unmerge_lora",
]
