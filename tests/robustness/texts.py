"""Strange strings through the tokenizers: nothing is lost, nothing crashes.

python -m tests.robustness.texts 10000
"""

import argparse
import random

from minillm.tokenizers import BertTokenizer, GPT2Tokenizer

PIECES = (
    "the", " fox", "\n", "\t", "  ", "\u00a0", "\u3000", "狐狸", "é", "e\u0301", "ß", "ﬁ", "İ",
    "\u200d", "👩‍👩‍👧", "🇩🇪", "\u202e", "\x00", "\x1b[31m", "\ufeff", "\ud7ff", "\uffff",
    "<|endoftext|>", "[MASK]", "[CLS", "<s>", "0", "1e9", "'s", "''",
    "…", "—", "ا", "ก", "्", "\U0010ffff",
)  # fmt: skip


def strange_text(chance: random.Random) -> str:
    """Pieces that tokenizers stumble over, and characters from anywhere but surrogates."""
    parts = []
    for _ in range(chance.randint(0, 40)):
        if chance.random() < 0.7:
            parts.append(chance.choice(PIECES))
        else:
            point = chance.randrange(0x110000 - 0x800)
            parts.append(chr(point if point < 0xD800 else point + 0x800))
    return "".join(parts)


def tokenizers() -> dict:
    """Small ones, trained on strange texts too."""
    chance = random.Random(1)
    texts = [strange_text(chance) for _ in range(200)] + ["the quick brown fox 狐狸"] * 20
    return {
        "gpt2": GPT2Tokenizer.train(texts, 400),
        "bert": BertTokenizer.train(texts, 300, limit_alphabet=100),
    }


def failures_of(count: int, seed: int) -> list[str]:
    """What went wrong: BPE must give every text back, WordPiece stay what it was."""
    chance, known = random.Random(seed), tokenizers()
    failures = []
    for _ in range(count):
        text = strange_text(chance)
        ids = known["gpt2"].encode(text)
        if known["gpt2"].decode(ids) != text:
            failures.append(f"gpt2 loses something of {text!r}")
        bert = known["bert"]
        ids = bert.encode(text)
        if not all(0 <= i < len(bert) for i in ids):
            failures.append(f"bert gives an id outside of its vocabulary for {text!r}")
        own = bert.decode(ids)  # its own text must not change once more
        if bert.decode(bert.encode(own, add_special_tokens=False)) != own:
            failures.append(f"bert changes its own text {own!r}")
    return failures


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int, nargs="?", default=10_000, help="strings")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    failures = failures_of(options.count, options.seed)
    print(f"{options.count} strings: {len(failures)} failures")
    print("\n".join(failures[:10]))
    raise SystemExit(bool(failures))


if __name__ == "__main__":
    main()
