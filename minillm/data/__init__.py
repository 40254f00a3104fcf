"""Data: where text comes from, and how it is cut into batches."""

from .batches import DataLoader, TextBatches, TextWindows
from .batching import AlignedWords, LengthBatches, PaddingReport, align_labels, pad
from .corpora import python_topics, read_text, split_text
from .datasets import (
    DownloadError,
    LabelledTexts,
    Source,
    Translation,
    data_folder,
    fetch,
    load_labelled_sentences,
    load_names,
    load_sms_spam,
    load_tatoeba,
    load_tiny_shakespeare,
    split_examples,
)
from .labelled_file import LabelledFile, read_labelled, stratified_split
from .masking import MaskedTokens, TokenMasker
from .pairs import (
    PretrainingBatches,
    PretrainingLosses,
    SentencePair,
    next_sentence_pairs,
    pretraining_losses,
)
from .toy_world import Story, StoryPair, StoryQuestion, StorySentence, StorySplits, ToyWorld

__all__ = [
    "AlignedWords",
    "DataLoader",
    "DownloadError",
    "LabelledFile",
    "LabelledTexts",
    "LengthBatches",
    "MaskedTokens",
    "PaddingReport",
    "PretrainingBatches",
    "PretrainingLosses",
    "SentencePair",
    "Source",
    "Story",
    "StoryPair",
    "StoryQuestion",
    "StorySentence",
    "StorySplits",
    "TextBatches",
    "TextWindows",
    "TokenMasker",
    "ToyWorld",
    "Translation",
    "align_labels",
    "data_folder",
    "fetch",
    "load_labelled_sentences",
    "load_names",
    "load_sms_spam",
    "load_tatoeba",
    "load_tiny_shakespeare",
    "next_sentence_pairs",
    "pad",
    "pretraining_losses",
    "python_topics",
    "read_labelled",
    "read_text",
    "split_examples",
    "split_text",
    "stratified_split",
]
