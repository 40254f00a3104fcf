"""Write the golden files of the tokenizers: what the libraries of Hugging Face make of hard texts.

    python -m pip install tokenizers transformers
    python tests/golden/make_tokenizers.py

Written: bpe.json (a byte-level BPE trained by the library, its encodings and decodings, whole, with
single digits, and as tokenizer.json), wordpiece.json (encodings under a fixed vocabulary of our own,
because the library's training is not the same in two runs), batches.json (padding, truncation, pairs).
The tests read the files and need neither library.
"""

import itertools
import json
import tempfile
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import BertTokenizer, GPT2Tokenizer

FOLDER = Path(__file__).parent
END = "<|endoftext|>"
TEXT = """The lighthouse keeper's daughter counts the ships: 1, 2, 3, 10, 11, 12, 100, 2024. She's sure
that they'll come back; they've always come back, and they'd never stay away for 10 days.
"Where's the other one?" asked the keeper. "It isn't here, and I'm not waiting," she said.

    def count(ships):
        return sum(1 for ship in ships if ship.lights == 2)

On windy days nobody counts anything; on windless days everybody does. The harbour is quiet, the
harbour is grey, the harbour is where the keeper's boat is kept. Keep counting, keeper!
灯塔看守人的女儿在数船。船来了，船走了，灯塔还在。看守人说：今天有十条船，明天有十二条船。
El faro está aquí: ¿dónde está el señor García? Él está mañana en el café, mañana en el faro.
Маяк стоит на берегу, и маяк светит. Корабли идут, корабли приходят. 🚢🚢 ⚓ 🚢 👩‍✈️ 🚢
the the the of of of and and and in in in to to to is is it it was was that that for for
"""
HARD = [
    "",
    " ",
    "  ",
    "\n",
    " \n \t ",
    "a",
    "keeper",
    " keeper",
    "The keeper's daughter",
    "don't won't they'll we've I'd I'm it's DON'T it’s",
    "'s 't're've",
    "ships   in    a  row ",
    "trailing spaces   ",
    "\n\n\nthree lines\n\n",
    "tab\tand\r\nreturn\rhere",
    "x\x0b\x0cy",
    "\x00\x01\x02 control \x1b[31m \x7f",
    "zero\u200bwidth\u200djoin\ufeffer",
    "soft\u00adhyphen",
    "no\u00a0break\u2003em\u3000wide",
    "line\u2028sep\u2029par\u0085next",
    "灯塔看守人",
    "船 来了，船走了。",
    "我在2024年去了 London。",
    "日本語のテキスト カタカナ",
    "한국어 텍스트",
    "𠀀𠮷 rare han 㐀",
    "🚢",
    "👩‍✈️ 👨‍👩‍👧‍👦 🏳️‍🌈",
    "👍🏽👍🏿 flags 🇨🇳🇪🇸",
    "mañana",
    "man\u0303ana",
    "e\u0301\u0302\u0323 Z\u0351\u036balgo",
    "ﬁne ﬂ ½ ² ③ Ⅷ",
    "ÀÉÎÕÜ ßẞ İıŞş",
    "ΟΔΥΣΣΕΥΣ ΣΑΣ Σ",
    "Корабли ЙЁ",
    "שָׁלוֹם مَرْحَبًا",
    "हिन्दी क्षि",
    "ไทยไม่มีเว้นวรรค",
    "12 123 1234 12345 1,000.50 3.14e-10 0x1F",
    "x  2 and y2k 7z",
    "१२३ ١٢٣ 四五六",
    "for(i=0;i<10;i++){a[i]*=2;}",
    "    def count(ships):\n\treturn  ships[::-1]",
    "a_b __init__ snake_case CamelCase",
    "$5 + 5€ < 10£ = ^ ` | ~",
    "https://example.org/a?b=c&d=%20#e",
    "\\n \\\\ \\x00 \"quoted\" 'single'",
    "----====____....!!!???",
    f"one{END}two {END} {END}{END}",
    "<|endoftext| > <|endof text|>",
    "[CLS] a [MASK]b[SEP] [UNK][PAD] [mask] [MASK",
    "a" * 99 + " " + "a" * 100 + " " + "a" * 101,
    "counting" * 13,
    "\ufffd replacement \U000f0000 \ue000 private",
    "ａｂｃ１２３ fullwidth",
    "the the  the\nthe",
    "unwindable windlessness",
    "\u0301 lone accent",
    "e" + "\u0301" * 20,
    "𝒜𝓁𝓁 𝔪𝔞𝔱𝔥 ℕ",
    "naïve façade coöperate Ångström",
]


def train_bpe(split_digits):
    tokenizer = Tokenizer(models.BPE())
    level = pre_tokenizers.ByteLevel(add_prefix_space=False)
    digits = pre_tokenizers.Digits(individual_digits=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, level]) if split_digits else level
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=560,
        min_frequency=2,
        special_tokens=[END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([TEXT], trainer)
    return tokenizer


def bpe():
    tokenizer, digits = train_bpe(False), train_bpe(True)
    stored = json.loads(digits.to_str())
    digits.add_tokens([AddedToken("<mask>", lstrip=True), AddedToken("ship", single_word=True)])
    return {
        "text": TEXT,
        "vocab_size": 560,
        "merges": json.loads(tokenizer.to_str())["model"]["merges"],
        "digit_merges": stored["model"]["merges"],
        "strings": HARD,
        "ids": [tokenizer.encode(text).ids for text in HARD],
        "digit_ids": [digits.encode(text).ids for text in HARD],
        "decoded": [
            [ids, tokenizer.decode(ids, skip_special_tokens=False)]
            for ids in ([0, 1, 2], [200, 201, 300], [130], [230, 231, 0, 190], [*range(120, 140)])
        ],
        "tokenizer_json": json.loads(digits.to_str()),
        "added": [
            [text, digits.encode(text).ids]
            for text in ("a  <mask> b<mask>", "a ship, ships, midship ship", "ship1 ship_ ship")
        ],
    }


def wordpiece_vocabulary():
    words = (
        "the keeper ' s daughter count ##s ##ing ships ship of and un ##wind ##able ##less "
        "##ness a b lighthouse man ##ana manana cafe fine 2024 12 3 1 0 2 x y for i i18n "
        r'snake case _ , . ! ? : ; ( ) [ ] { } < > = + - * / \ | ^ ~ ` $ € £ # % & @ " 灯 塔 看 守 '
        "人 船 来 了 走 我 在 年 去 四 五 one two three lines spaces trailing tab return here control "
        "zero ##width ##join ##er soft ##hy no em wide break δ ο ##δ ##υ ##σ ##ε σας σ "
        "корабли и е ##е don t isn it ’ mask math all rare han mañana café The Keeper DON ##T "
        "Å ÀÉ naive facade cooperate angstrom london rep ##lace ##ment pri ##vate lone accent "
        "e 🚢 ⚓ か ##タ 日 本 語 "
    ).split()
    letters = [p + c for p in ("", "##") for c in "cdefghjklmnopqrstuvwz0123456789"]
    letters += ["##a", "##b"]
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    return list(dict.fromkeys([*special, *words, *letters]))


def wordpiece(path):
    out = {"vocab": wordpiece_vocabulary(), "strings": HARD}
    for name, options in {
        "uncased": {},
        "cased": {"do_lower_case": False},
        "accents": {"strip_accents": False},
        "stripped": {"do_lower_case": False, "strip_accents": True},
        "no_chinese": {"tokenize_chinese_chars": False},
    }.items():
        tokenizer = BertTokenizer(str(path), **options)
        ids = [tokenizer.encode(text) for text in HARD]
        out[name] = {"options": options, "ids": ids, "decoded": [tokenizer.decode(i) for i in ids]}
    tokenizer = BertTokenizer(str(path))
    tokenizer.add_tokens(["Ship-Wreck"])
    out["tokenizer_json"] = json.loads(tokenizer._tokenizer.to_str())
    text = "a SHIP-WRECK ship-wreck[MASK] ship - wreck"
    out["added"] = [text, tokenizer.encode(text)]
    return out


def batches(path):
    texts = ["the keeper counts ships", "a", "", "unwindable windlessness and the lighthouse"]
    pairs = ["ships", "the daughter of the keeper counts ships and ships", "a b", "the ships"]
    calls = [{}, {"padding": True}, {"padding": "max_length", "max_length": 24}]
    calls += [
        {"truncation": True, "max_length": n, "padding": True} for n in (3, 4, 5, 6, 7, 8, 11)
    ]
    calls += [{"truncation": True, "max_length": 9, "padding": "max_length"}, {"max_length": 7}]
    out = {"texts": texts, "pairs": pairs, "calls": []}
    for call, side, cut in itertools.product(calls, ("right", "left"), ("right", "left")):
        bert = BertTokenizer(str(path), padding_side=side, truncation_side=cut)
        record = {"options": call, "padding_side": side, "truncation_side": cut}
        record["single"] = dict(bert(texts, **call))
        record["pair"] = dict(bert(texts, pairs, **call))
        out["calls"].append(record)
    bert = BertTokenizer(str(path))
    text, pair = "the keeper counts ships and the", "a b the ships of the lighthouse"
    out["one"] = [
        [options, dict(bert(text, pair, **options))]
        for options in (
            {"truncation": "only_first", "max_length": 13},
            {"truncation": "only_second", "max_length": 13},
            {"truncation": "longest_first", "max_length": 12},
            {"truncation": False, "max_length": 5},
            {"add_special_tokens": False, "truncation": True, "max_length": 5},
        )
    ]
    out["one_texts"] = [text, pair]
    return out | {"gpt2": gpt2_batches(texts, pairs)}


def gpt2_batches(texts, pairs):
    with tempfile.TemporaryDirectory() as folder:
        train_bpe(False).model.save(folder)
        tokenizer = GPT2Tokenizer(f"{folder}/vocab.json", f"{folder}/merges.txt")
    tokenizer.pad_token = tokenizer.eos_token
    tokenizer.padding_side = "left"
    return [
        [options, dict(tokenizer(texts, pairs if both else None, **options)), both]
        for options in ({"padding": True}, {"padding": True, "truncation": True, "max_length": 5})
        for both in (False, True)
    ]


def write(name, value):
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"))
    (FOLDER / name).write_text(text + "\n", encoding="ascii")


def main():
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "vocab.txt"
        path.write_text("\n".join(wordpiece_vocabulary()) + "\n", encoding="utf-8")
        write("wordpiece.json", wordpiece(path))
        write("batches.json", batches(path))
    write("bpe.json", bpe())


if __name__ == "__main__":
    main()
