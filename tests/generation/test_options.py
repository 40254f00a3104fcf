"""Every option of generate, on small GPT-2s."""

import inspect
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minillm.autograd import no_grad
from minillm.generation import GenerationMixin, ModelSteps, TextStreamer, generate
from minillm.models import GPT2Config, GPT2LMHeadModel
from minillm.tokenizers import BertTokenizer, CharTokenizer, GPT2Tokenizer

from .test_generate import Counting, small_gpt

LONG = {"n_positions": 40, "initializer_range": 0.8}


class Counted(GPT2LMHeadModel):
    """A GPT-2 that remembers how many tokens each call was given."""

    def forward(self, input_ids, *args, **kwargs):
        self.lengths = [*getattr(self, "lengths", []), input_ids.shape[1]]
        return super().forward(input_ids, *args, **kwargs)


def counted(**changes):
    sizes = {"vocab_size": 11, "n_positions": 12, "n_embd": 6, "n_layer": 2, "n_head": 3}
    return Counted(GPT2Config(**{**sizes, **changes}), rng=np.random.default_rng(5))


@pytest.fixture
def prompts(rng):
    return rng.integers(0, 11, (3, 6))


MANY = [
    {},
    {"repetition_penalty": 1.5},
    {"do_sample": True},
    {"do_sample": True, "top_p": 0.7, "temperature": 1.3, "repetition_penalty": 1.2},
    {"do_sample": True, "num_return_sequences": 3, "top_k": 4},
    {"num_beams": 3},
    {"num_beams": 4, "num_return_sequences": 3, "eos_token_id": 2, "length_penalty": 0.3},
    {"num_beams": 2, "do_sample": True, "top_k": 5},
]


def write(model, prompts, options, **more):
    rng = {"rng": np.random.default_rng(1)} if options.get("do_sample") else {}
    return model.generate(prompts, max_new_tokens=12, **options, **rng, **more)


@pytest.mark.parametrize("options", MANY, ids=str)
def test_the_cache_changes_nothing(options, prompts):
    model = small_gpt(**LONG)
    found = write(model, prompts, options)
    np.testing.assert_array_equal(found, write(model, prompts, options, use_cache=False))


@pytest.mark.parametrize("options", [o for o in MANY if not o.get("do_sample")], ids=str)
@pytest.mark.parametrize("use_cache", [True, False])
def test_a_padded_prompt_is_continued_as_without_padding(options, use_cache, prompts):
    model, pads = small_gpt(**LONG), [3, 0, 5]
    mask = np.arange(6) >= np.array(pads)[:, None]
    options = {**options, "pad_token_id": 10}
    padded = write(
        model, np.where(mask, prompts, 10), options, attention_mask=mask, use_cache=use_cache
    )
    n = options.get("num_return_sequences", 1)
    for row, pad in enumerate(pads):
        alone = write(model, prompts[row : row + 1, pad:], options)
        together = padded[row * n : (row + 1) * n, pad:]
        width = alone.shape[1]
        np.testing.assert_array_equal(together[:, :width], alone)
        assert (together[:, width:] == 10).all()


@pytest.mark.parametrize("beams", [1, 2])
def test_padding_is_not_penalized_as_a_repetition(beams, prompts):
    model, options = small_gpt(**LONG), {"repetition_penalty": 20.0, "num_beams": beams}
    alone = model.generate(prompts[:1], max_new_tokens=3, **options)
    wanted = int(alone[0, 6])
    assert wanted not in prompts[0]
    padded = np.array([[wanted, wanted, *prompts[0]]])
    mask = np.array([[0, 0, 1, 1, 1, 1, 1, 1]])
    found = model.generate(padded, max_new_tokens=3, attention_mask=mask, **options)
    np.testing.assert_array_equal(found[:, 2:], alone)


def test_a_step_with_the_cache_feeds_one_token(prompts):
    model = counted()
    model.generate(prompts, max_new_tokens=5)
    assert model.lengths == [6, 1, 1, 1, 1]
    model.lengths = []
    model.generate(prompts, max_new_tokens=5, num_beams=2)
    assert model.lengths == [6, 1, 1, 1, 1]
    model.lengths = []
    model.generate(prompts, max_new_tokens=5, use_cache=False)
    assert model.lengths == [6, 7, 8, 9, 10]


@pytest.mark.parametrize("rows", [[2, 0, 1], [1, 1, 1], [0, 2], [0, 0, 1, 1, 2, 2]], ids=str)
@pytest.mark.parametrize("use_cache", [True, False])
def test_a_step_goes_on_from_the_rows_it_is_told(rows, use_cache, prompts):
    model = small_gpt(**LONG).eval()
    mask = np.arange(6) >= np.array([2, 0, 3])[:, None]
    step = ModelSteps(model, prompts, mask, total=9, use_cache=use_cache)
    first, rows = step(), np.array(rows)
    new = np.arange(len(rows))
    second = step(new, rows)
    third = step(new + 1)
    for i, row in enumerate(rows):
        text = np.array([*prompts[row, mask[row].argmax() :], new[i], new[i] + 1])[None]
        with no_grad():
            expected = model(text).logits.numpy()[0, -3:]
        for found, wanted in zip((first[row], second[i], third[i]), expected, strict=True):
            np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)


def test_the_window_slides_after_the_cache_is_full(prompts):
    model = counted()
    model.generate(prompts, max_new_tokens=9, sliding_window=True)
    assert model.lengths == [6, 1, 1, 1, 1, 1, 1, 12, 12]


@pytest.mark.parametrize("options", [{}, {"num_beams": 2}, {"do_sample": True}])
def test_a_sliding_window_needs_no_cache_to_be_right(options, prompts):
    model = counted(initializer_range=0.8)
    cached, plain = (
        write(model, prompts, options, sliding_window=True, use_cache=c) for c in (True, False)
    )
    np.testing.assert_array_equal(cached, plain)


def test_padding_may_slide_out_of_the_window(prompts):
    model = counted(initializer_range=0.8)
    mask = np.ones((3, 6), bool)
    mask[1, :4] = False
    found = model.generate(prompts, max_new_tokens=14, attention_mask=mask, sliding_window=True)
    alone = model.generate(prompts[1:2, 4:], max_new_tokens=10, sliding_window=True)
    np.testing.assert_array_equal(found[1:2, 4:14], alone[:, :10])


# --------------------------------------------------------------------------- results and ends


def test_samples_of_one_prompt_are_neighbours_and_differ(prompts):
    model = small_gpt(**LONG)
    found = write(model, prompts, {"do_sample": True, "num_return_sequences": 4})
    assert found.shape == (12, 18)
    np.testing.assert_array_equal(found[:, :6], np.repeat(prompts, 4, axis=0))
    assert len({tuple(row) for row in found[:4, 6:].tolist()}) > 1


def test_beams_come_best_first(prompts):
    model = small_gpt(**LONG)
    found = write(model, prompts[:1], {"num_beams": 4, "num_return_sequences": 4})
    logits = model.eval()(found).logits.numpy().astype(float)
    log_p = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    new = np.take_along_axis(log_p[:, 5:-1], found[:, 6:, None], axis=2)[..., 0]
    sums = new.sum(axis=1)
    assert (np.diff(sums) < 0).all()
    assert sums[0] > log_p[0, 5:-1].max(axis=-1).sum() - 1e9  # a number, not -inf


def test_several_ends_and_a_padding_of_its_own():
    found = generate(
        Counting(), [[0, 1], [3, 4], [5, 6]], max_new_tokens=5, eos_token_id=[3, 5], pad_token_id=6
    )
    assert found.tolist() == [[0, 1, 2, 3, 6, 6], [3, 4, 5, 6, 6, 6], [5, 6, 0, 1, 2, 3]]


def test_the_first_end_fills_up_where_no_padding_is_given():
    found = generate(Counting(), [[0, 1], [3, 4]], max_new_tokens=2, eos_token_id=[3, 5])
    assert found.tolist() == [[0, 1, 2, 3], [3, 4, 5, 3]]


def test_the_config_knows_the_end_unless_it_is_given(prompts):
    model = small_gpt(**LONG)
    plain = model.generate(prompts[:1], max_new_tokens=12)
    end = int(plain[0, 8])
    first = 6 + plain[0, 6:].tolist().index(end)
    model.config.eos_token_id = end
    np.testing.assert_array_equal(
        model.generate(prompts[:1], max_new_tokens=12), plain[:, : first + 1]
    )
    ignoring = model.generate(prompts[:1], max_new_tokens=12, eos_token_id=[])
    np.testing.assert_array_equal(ignoring, plain)


def test_short_beams_are_padded(prompts):
    model = small_gpt(**LONG)
    options = {"max_new_tokens": 12, "num_beams": 4, "num_return_sequences": 4}
    end = int(model.generate(prompts, **options)[0, 8])
    found = model.generate(
        prompts, **options, eos_token_id=end, pad_token_id=13, length_penalty=0.0
    )[:, 6:]  # fmt: skip
    lengths = set()
    for row in found.tolist():
        length = row.index(end) + 1 if end in row else len(row)
        assert row[length:] == [13] * (len(row) - length)
        assert 13 not in row[:length]
        lengths.add(length)
    assert len(lengths) > 1
    assert max(lengths) == found.shape[1]


@pytest.mark.parametrize("options", [{}, {"num_beams": 2, "num_return_sequences": 2}])
def test_no_new_tokens_are_no_work(options, prompts):
    n = options.get("num_return_sequences", 1)
    found = counted().generate(prompts, max_new_tokens=0, **options)
    np.testing.assert_array_equal(found, np.repeat(prompts, n, axis=0))


def test_the_same_seed_draws_the_same_beams(prompts):
    model, options = small_gpt(**LONG), {"num_beams": 3, "do_sample": True}
    found = [
        model.generate(prompts, max_new_tokens=9, rng=np.random.default_rng(s), **options).tolist()
        for s in (1, 1, 2)
    ]
    assert found[0] == found[1] != found[2]


def test_a_mask_of_ones_is_no_mask():
    assert generate(Counting(), [[1, 2]], max_new_tokens=1, attention_mask=[[1, 1]]).tolist() == [
        [1, 2, 3]
    ]


def test_the_method_is_the_function():
    assert GenerationMixin.generate is generate
    names = list(inspect.signature(generate).parameters)[1:]
    assert names == [
        "input_ids", "max_length", "max_new_tokens", "do_sample", "temperature", "top_k", "top_p",
        "num_beams", "length_penalty", "early_stopping", "num_return_sequences",
        "repetition_penalty", "use_cache", "eos_token_id", "pad_token_id", "attention_mask", "rng",
        "streamer", "sliding_window",
    ]  # fmt: skip


# ---------------------------------------------------------------------------------- streamers


class Recorder:
    def __init__(self):
        self.got, self.ended = [], 0

    def put(self, ids):
        self.got.append(ids.tolist())

    def end(self):
        self.ended += 1


def test_a_streamer_object_gets_prompt_tokens_and_end():
    recorder = Recorder()
    generate(Counting(), [[0, 1], [3, 4]], max_new_tokens=2, streamer=recorder)
    assert recorder.got == [[[0, 1], [3, 4]], [2, 5], [3, 6]]
    assert recorder.ended == 1


def streamed(tokenizer, prompt, new, **options):
    file = io.StringIO()
    streamer = TextStreamer(tokenizer, file, **options)
    streamer.put(np.array([prompt]))
    shown = []
    for token in new:
        streamer.put(np.array([token]))
        shown.append(file.getvalue())
    streamer.end()
    return shown, file.getvalue()


def test_text_streams_character_by_character():
    tokenizer = CharTokenizer.train(["abc"])
    assert streamed(tokenizer, [0, 1], [2, 0]) == (["abc", "abca"], "abca\n")
    assert streamed(tokenizer, [0, 1], [2, 0], skip_prompt=True) == (["c", "ca"], "ca\n")


class Bytes:
    """A tokenizer whose tokens are bytes."""

    def decode(self, ids):
        return bytes(ids).decode("utf-8", errors="replace")


def test_a_character_is_shown_when_its_last_byte_has_come():
    shown, text = streamed(Bytes(), list(b"x"), "é🌍!".encode())
    assert shown == ["x", "xé", "xé", "xé", "xé", "xé🌍", "xé🌍!"]
    assert text == "xé🌍!\n"


def test_bytes_that_never_become_a_character_are_shown_all_the_same():
    assert streamed(Bytes(), [], b"\xffab")[1] == "\ufffdab\n"
    assert streamed(Bytes(), [], b"ab\xf0\x9f")[1] == "ab\ufffd\n"


BYTES = GPT2Tokenizer.train(["a é🌍 b"] * 3, 270, progress=False)
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "hello", "world", "##s", ".", "世"]
STREAMED = [CharTokenizer.train(["abc"]), BYTES, BertTokenizer(WORDS)]


def test_words_that_are_streamed_have_spaces_between_them():
    shown, text = streamed(STREAMED[2], [5], [6, 7, 8, 5])
    assert shown == ["hello world", "hello worlds", "hello worlds.", "hello worlds. hello"]
    assert text == "hello worlds. hello\n"


@pytest.mark.parametrize("tokenizer", STREAMED, ids=repr)
@pytest.mark.parametrize("skip_prompt", [False, True])
@given(data=st.data())
def test_what_is_streamed_is_the_text_of_all_ids(tokenizer, skip_prompt, data):
    ids = st.lists(st.integers(0, len(tokenizer) - 1), max_size=12)
    prompt, new = data.draw(ids), data.draw(ids)
    text = tokenizer.decode(new if skip_prompt else prompt + new)
    assert streamed(tokenizer, prompt, new, skip_prompt=skip_prompt)[1] == text + "\n"


def test_streaming_does_not_decode_everything_again_for_each_token():
    lengths = []

    class Noting:
        def decode(self, ids):
            lengths.append(len(ids))
            return "x" * len(ids)

    streamed(Noting(), [], range(100))
    assert max(lengths) <= 2


def test_a_text_streamer_shows_one_text_only(prompts):
    with pytest.raises(ValueError, match="one text only"):
        small_gpt(**LONG).generate(
            prompts, max_new_tokens=2, streamer=TextStreamer(Bytes(), io.StringIO())
        )


# ----------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_beams": 0}, "num_beams must be an integer of at least 1, got 0"),
        ({"num_beams": 2.5}, "num_beams must be an integer of at least 1, got 2.5"),
        ({"num_return_sequences": 0}, "num_return_sequences must be an integer of at least 1"),
        ({"num_return_sequences": 2}, "the same text 2 times: add do_sample=True or num_beams"),
        ({"num_beams": 2, "num_return_sequences": 3}, "finds 2 texts"),
        ({"num_beams": 2, "streamer": print}, "cannot follow beam search"),
        ({"num_beams": 2, "early_stopping": "always"}, "False, True or 'never', got 'always'"),
        ({"num_beams": 2, "length_penalty": float("inf")}, "length_penalty must be a finite"),
        ({"num_beams": 2, "length_penalty": None}, "a finite number, got None"),
        ({"max_new_tokens": 2.0}, "max_new_tokens must be an integer of at least 0, got 2.0"),
        ({"max_new_tokens": None, "max_length": "9"}, "max_length must be an integer .* got '9'"),
        ({"do_sample": True, "top_k": "3"}, "top_k must be at least 1, got '3'"),
        ({"do_sample": True, "top_p": "1"}, "top_p must be above 0 and at most 1, got '1'"),
        ({"do_sample": True, "temperature": "hot"}, "temperature must be above 0 .* got 'hot'"),
        ({"repetition_penalty": None}, "repetition_penalty must be above 0, got None"),
        ({"pad_token_id": "x"}, "pad_token_id must be an id, got 'x'"),
        ({"pad_token_id": [1, 2]}, r"pad_token_id must be an id, got \[1, 2\]"),
        ({"eos_token_id": -1}, "an id or a list of ids, got -1"),
        ({"do_sample": True, "top_p": 0.0}, "top_p must be above 0"),
        ({"do_sample": True, "top_p": 1.5}, "top_p must be above 0 and at most 1, got 1.5"),
        ({"repetition_penalty": 0.0}, "repetition_penalty must be above 0"),
        ({"attention_mask": np.ones((1, 2))}, r"shape of input_ids \(1, 3\).*got shape \(1, 2\)"),
        ({"attention_mask": np.array([[0, 2, 1]])}, "hold 1 for tokens and 0 for padding"),
        ({"attention_mask": np.array([[1, 1, 0]])}, "put the padding on the left"),
        ({"attention_mask": np.array([[0, 0, 0]])}, "row 0 .* a token into each row"),
        ({"eos_token_id": "end"}, "an id or a list of ids, got 'end'"),
        ({"eos_token_id": 1.5}, "an id or a list of ids, got 1.5"),
        ({"max_length": 20}, "either max_length or max_new_tokens"),
    ],
)
def test_what_cannot_be_is_refused_before_any_work(options, message):
    model = counted()
    with pytest.raises(ValueError, match=message):
        model.generate([[1, 2, 3]], **{"max_new_tokens": 3, **options})
    assert not hasattr(model, "lengths")


def test_a_prompt_that_is_too_long_alone_is_named():
    with pytest.raises(ValueError, match=r"12 positions of the model \(the prompt alone has 13\)"):
        counted().generate(np.ones((1, 13), int), max_new_tokens=1)


def test_a_streamer_that_cannot_be_called_is_refused():
    with pytest.raises(TypeError, match="have put and end, got int"):
        counted().generate([[1]], max_new_tokens=1, streamer=5)


def test_padding_for_a_model_without_a_mask_is_refused():
    with pytest.raises(ValueError, match="Counting takes no attention_mask"):
        generate(Counting(), [[1, 2]], max_new_tokens=1, attention_mask=[[0, 1]])


# -------------------------------------------------------------------------------- command line


@pytest.fixture
def folder(tmp_path):
    """A saved model of a few characters."""
    from minillm.cli.common import save_model

    tokenizer = CharTokenizer.train(["abcdefgh "])
    config = GPT2Config(
        vocab_size=len(tokenizer), n_positions=16, n_embd=8, n_layer=1, n_head=2,
        initializer_range=0.5,
    )  # fmt: skip
    save_model(GPT2LMHeadModel(config, rng=np.random.default_rng(0)), tokenizer, tmp_path)
    return tmp_path


def command(folder, capsys, *words):
    from minillm.cli.main import main

    status = main(["generate", "--model", str(folder), "--prompt", "abc", "--tokens", "9", *words])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


@pytest.mark.parametrize(
    "words",
    [["--top-p", "0.5"], ["--repetition-penalty", "1.5"], ["--num-beams", "3"], ["--no-cache"],
     ["--num-beams", "3", "--length-penalty", "0", "--early-stopping", "never"]],
    ids=" ".join,
)  # fmt: skip
def test_the_command_knows_the_options(folder, capsys, words):
    status, out, err = command(folder, capsys, *words)
    assert (status, err) == (0, "")
    assert out.startswith("abc")
    assert len(out) == 3 + 9 + 1


def test_the_command_writes_the_same_without_the_cache(folder, capsys):
    words = ["--tokens", "30", "--seed", "3"]
    assert command(folder, capsys, *words) == command(folder, capsys, *words, "--no-cache")


@pytest.mark.parametrize("words", [[], ["--num-beams", "3"]], ids=str)
def test_the_command_writes_several_texts(folder, capsys, words):
    status, out, _ = command(folder, capsys, *words, "--num-return-sequences", "2")
    lines = out.splitlines()
    assert status == 0
    assert [line[:10] for line in lines[::2]] == ["--- 1 of 2", "--- 2 of 2"]
    assert all(line.startswith("abc") and len(line) == 12 for line in lines[1::2])
    assert lines[1] != lines[3]


def test_the_command_writes_where_device_says(folder, capsys, tmp_path):
    words = ["--prompt", "ab", "--tokens", "6", "--greedy"]
    code, on_host = command(folder, capsys, *words)[:2]
    assert code == 0
    picture = tmp_path / "heads.png"
    found = command(folder, capsys, *words, "--device", "strict", "--attention", str(picture))
    assert found[:2] == (0, on_host)
    assert picture.is_file()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--top-p", "2"], "--top-p must be above 0 and at most 1"),
        (["--num-beams", "0"], "--num-beams must be at least 1"),
        (["--greedy", "--num-return-sequences", "2"], "the same text 2 times"),
        (["--num-beams", "2", "--num-return-sequences", "3"], "use more beams"),
    ],
)
def test_the_command_explains_bad_options_in_one_line(folder, capsys, words, message):
    status, _, err = command(folder, capsys, *words)
    assert status == 1
    assert message in err
    assert err.count("\n") == 1
