"""Models: a config dataclass on top, then the layers in the order of the paper; one file each."""

from .bert import (
    BertConfig,
    BertForMaskedLM,
    BertForPreTraining,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
    BertModel,
)
from .cost import ModelCost, model_cost
from .glove import GloVe, GloVeConfig
from .gpt2 import GPT2Config, GPT2LMHeadModel
from .llama import LlamaConfig, LlamaForCausalLM
from .output import ModelOutput
from .recurrent import (
    LSTMClassifier,
    LSTMClassifierConfig,
    LSTMLanguageModel,
    LSTMLanguageModelConfig,
)
from .sentence_vae import SentenceVAE, SentenceVAEConfig, SentenceVAEOutput, kl_weight
from .seq2seq import Seq2SeqConfig, Seq2SeqTransformer
from .textgenrnn import TextGenRNN, TextGenRNNConfig, TextGenRNNTokenizer
from .transformer_lm import TransformerLanguageModel, TransformerLMConfig
from .word2vec import Word2Vec, Word2VecConfig
from .word_vectors import WordVectors

__all__ = [
    "BertConfig",
    "BertForMaskedLM",
    "BertForPreTraining",
    "BertForQuestionAnswering",
    "BertForSequenceClassification",
    "BertForTokenClassification",
    "BertModel",
    "GPT2Config",
    "GPT2LMHeadModel",
    "GloVe",
    "GloVeConfig",
    "LSTMClassifier",
    "LSTMClassifierConfig",
    "LSTMLanguageModel",
    "LSTMLanguageModelConfig",
    "LlamaConfig",
    "LlamaForCausalLM",
    "ModelCost",
    "ModelOutput",
    "SentenceVAE",
    "SentenceVAEConfig",
    "SentenceVAEOutput",
    "Seq2SeqConfig",
    "Seq2SeqTransformer",
    "TextGenRNN",
    "TextGenRNNConfig",
    "TextGenRNNTokenizer",
    "TransformerLMConfig",
    "TransformerLanguageModel",
    "Word2Vec",
    "Word2VecConfig",
    "WordVectors",
    "kl_weight",
    "model_cost",
]
