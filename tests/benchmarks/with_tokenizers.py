"""BPE with the tokenizers library, in Rust:  python with_tokenizers.py WORKLOAD (--help)."""

import os

import tokenizers
from timing import main, median_ms, memory_mb
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers


def versions():
    """The library; its encode_batch uses all cores."""
    return f"tokenizers {tokenizers.__version__}, {os.cpu_count()} threads"


def read(job, size):
    """So many bytes of the text, as one document for each paragraph."""
    return [part for part in job.text.read_bytes()[:size].decode("ascii").split("\n\n") if part]


def learn(documents, vocab):
    """Byte-level BPE as GPT-2 has it."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab, min_frequency=2, special_tokens=["<|endoftext|>"], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    tokenizer.train_from_iterator(documents, trainer)
    return tokenizer


def bpe_train(job):
    """Learn merges from the first part of the text."""
    documents, vocab = read(job, job.sizes["train_bytes"]), job.sizes["vocab"]
    tokenizer = learn(documents, vocab)
    ms = median_ms(lambda: learn(documents, vocab), job.repeats)
    tokens = sum(len(found.ids) for found in tokenizer.encode_batch(documents))
    return {
        "ms": ms, "rss_mb": memory_mb(), "check": [tokenizer.get_vocab_size(), tokens],
    }  # fmt: skip


def bpe_encode(job):
    """Encode the text, with a tokenizer that has seen no word before."""
    documents = read(job, job.sizes["encode_bytes"])
    learned = learn(read(job, job.sizes["train_bytes"]), job.sizes["vocab"]).to_str()
    fresh = iter([Tokenizer.from_str(learned) for _ in range(job.repeats + 1)])
    counts = []

    def run():
        found = next(fresh).encode_batch(documents)
        counts.append(sum(len(one.ids) for one in found))

    run()
    ms = median_ms(run, job.repeats, enough=1e9)
    return {"ms": ms, "rss_mb": memory_mb(), "check": counts[:1]}


if __name__ == "__main__":
    main({"bpe-train": bpe_train, "bpe-encode": bpe_encode}, versions)
