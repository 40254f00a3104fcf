"""python -m minillm tokenize, as a user meets it."""

import pytest

from minillm.cli import main
from minillm.tokenizers import BertTokenizer, CharTokenizer, GPT2Tokenizer
from minillm.tokenizers.explanation import columns_of, shorten, visible

PROSE = "the keeper keeps the keys of the keep, and the keys keep the keeper. " * 5


@pytest.fixture
def prose(tmp_path):
    path = tmp_path / "prose.txt"
    path.write_text(PROSE, encoding="utf-8")
    return path


def tokenize(*words):
    return main(["tokenize", *map(str, words)])


def test_train_save_load_and_show(prose, tmp_path, capsys):
    out = tmp_path / "new"
    assert tokenize("--train", prose, "--vocab-size", 270, "--out", out) == 0
    assert capsys.readouterr().out.startswith("GPT2Tokenizer(270 tokens, 13 merges) saved in ")
    tokenizer = GPT2Tokenizer.from_pretrained(out)
    text = "the keys\t\x01é 世"
    assert tokenize("--tokenizer", out, text) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["id", "token", "bytes"]
    shown = [int(line.split()[1]) for line in lines[1:-1]]
    assert shown == tokenizer.encode(text)
    data = "".join(line[46:] for line in lines[1:-1])
    assert bytes.fromhex(data.replace(" ", "")) == text.encode()
    assert '"\\t"' in lines[-9]
    assert (
        lines[-1]
        == f"13 characters, 16 bytes, {len(shown)} tokens: {16 / len(shown):.1f} bytes per token"
    )


def test_every_line_fits_and_can_be_seen(prose, capsys, monkeypatch):
    monkeypatch.chdir(prose.parent)
    text = "the keys\n\n\x1b[31m " + " " * 50 + "世界" * 30 + "keep" * 30 + "<|endoftext|>"
    for kind in ("gpt2", "bert"):
        assert (
            tokenize("--train", prose.name, "--kind", kind, "--vocab-size", 300, "--explain", text)
            == 0
        )
        out = capsys.readouterr().out
        assert max(columns_of(line) for line in out.splitlines()) <= 88
        assert all(c.isprintable() for line in out.split("\n") for c in line)


def test_bert_is_explained(prose, capsys, tmp_path):
    assert tokenize("--train", prose, "--kind", "bert", "--vocab-size", 60, "--out", tmp_path) == 0
    assert tokenize("--tokenizer", tmp_path, "--explain", "Keeper [MASK]") == 0
    out = capsys.readouterr().out
    ids = BertTokenizer.from_pretrained(tmp_path).encode("Keeper [MASK]")
    assert 'word 1: "keeper"' in out
    assert f"{len(ids)} tokens" in out


def test_without_a_tokenizer_one_is_learned(capsys, monkeypatch):
    monkeypatch.setattr("minillm.cli.tokenize.python_topics", lambda: PROSE)
    assert tokenize("keys") == 0
    out = capsys.readouterr().out
    assert "learned from the help texts of your Python" in out
    assert out.endswith("4 characters, 4 bytes, 2 tokens: 2.0 bytes per token\n")


def test_a_note_says_that_characters_were_left_out(tmp_path, capsys):
    path = tmp_path / "zh.txt"
    path.write_text("".join(map(chr, range(0x4E00, 0x4E40))), encoding="utf-8")
    assert tokenize("--train", path, "--kind", "bert", "--vocab-size", 30, "一") == 0
    assert capsys.readouterr().err.startswith("note: the 64 different characters")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "give a TEXT"),
        (["--tokenizer", "nowhere", "x"], "there is no folder nowhere"),
        (["--train", "nowhere.txt", "x"], "nowhere.txt"),
    ],
)
def test_errors_are_one_line(words, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert tokenize(*words) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("minillm tokenize: error: ")
    assert message in line


def test_characters_are_shown_and_have_no_steps(tmp_path, capsys):
    CharTokenizer.train(["ab "]).save_pretrained(tmp_path)
    assert tokenize("--tokenizer", tmp_path, "a b") == 0
    assert "\\x20" in capsys.readouterr().out
    assert tokenize("--tokenizer", tmp_path, "--explain", "a") == 1
    assert "no steps" in capsys.readouterr().err


def test_visible_text_has_no_invisible_characters():
    assert visible("a\u0301\u200b\U000e0001") == "a\\u0301\\u200b\\U000e0001"
    assert shorten("世界" * 9, 7) == "世界世…"
