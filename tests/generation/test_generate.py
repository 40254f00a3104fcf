"""Writing on from a prompt."""

import numpy as np
import pytest

import minillm
from minillm.generation import generate
from minillm.models import GPT2Config, GPT2LMHeadModel, ModelOutput


def small_gpt(seed=5, **changes):
    sizes = {"vocab_size": 11, "n_positions": 9, "n_embd": 6, "n_layer": 2, "n_head": 3}
    config = GPT2Config(**{**sizes, "initializer_range": 0.5, **changes})
    return GPT2LMHeadModel(config, rng=np.random.default_rng(seed))


class Counting:
    """A model that always expects the last id plus one, and remembers what it was shown."""

    def __init__(self, vocab_size=7):
        self.vocab_size, self.seen, self.training = vocab_size, [], True

    def __call__(self, ids):
        self.seen.append(ids.copy())
        logits = np.zeros((*ids.shape, self.vocab_size), dtype=np.float32)
        np.put_along_axis(logits, ((ids + 1) % self.vocab_size)[..., None], 50.0, axis=-1)
        return ModelOutput(logits=minillm.Tensor(logits))

    def parameters(self):
        return iter(())

    def eval(self):
        self.train(False)

    def train(self, mode=True):
        self.training = mode


@pytest.fixture
def prompts(rng):
    return rng.integers(0, 11, (3, 4))


def test_greedy_equals_an_argmax_loop(prompts):
    model = small_gpt().eval()
    ids = prompts
    for _ in range(5):
        best = [int(np.argmax(row[-1])) for row in model(ids).logits.numpy()]
        ids = np.array([[*row, new] for row, new in zip(ids.tolist(), best, strict=True)])
    result = model.generate(prompts, max_new_tokens=5)
    np.testing.assert_array_equal(result, ids)
    assert result.dtype == np.int64


def test_the_result_is_counted_in_new_tokens_or_in_all(prompts):
    model = small_gpt()
    both = model.generate(prompts, max_new_tokens=3), model.generate(prompts, max_length=7)
    assert both[0].shape == (3, 7)
    np.testing.assert_array_equal(*both)
    np.testing.assert_array_equal(both[0][:, :4], prompts)


def test_no_new_tokens_give_the_prompt_back(prompts):
    np.testing.assert_array_equal(small_gpt().generate(prompts, max_new_tokens=0), prompts)


@pytest.mark.parametrize("prompt", [[1, 2], np.array([1, 2]), [[1, 2]], minillm.Tensor([1, 2])])
def test_a_prompt_may_be_a_list_an_array_or_a_tensor(prompt):
    assert generate(Counting(), prompt, max_new_tokens=3).tolist() == [[1, 2, 3, 4, 5]]


def test_the_same_generator_gives_the_same_text(prompts):
    def write(seed):
        options = {"max_new_tokens": 5, "do_sample": True, "rng": np.random.default_rng(seed)}
        return small_gpt().generate(prompts, **options).tolist()

    assert write(1) == write(1)
    assert write(1) != write(2)


def test_without_a_generator_the_seed_of_the_library_counts(prompts):
    def write(seed):
        minillm.manual_seed(seed)
        return model.generate(prompts, max_new_tokens=5, do_sample=True).tolist()

    model = small_gpt()
    assert write(1) == write(1)
    assert write(1) != write(2)


def test_greedy_text_needs_no_randomness(prompts):
    rng = np.random.default_rng(1)
    before = rng.bit_generator.state
    small_gpt().generate(prompts, max_new_tokens=2, rng=rng)
    assert rng.bit_generator.state == before


def test_sampling_from_one_candidate_is_greedy(prompts):
    model = small_gpt()
    sampled = model.generate(prompts, max_new_tokens=5, do_sample=True, top_k=1)
    np.testing.assert_array_equal(sampled, model.generate(prompts, max_new_tokens=5))


def test_a_finished_row_is_filled_with_the_end_token():
    result = generate(Counting(), [[0, 1], [3, 4]], max_new_tokens=5, eos_token_id=5)
    assert result.tolist() == [[0, 1, 2, 3, 4, 5], [3, 4, 5, 5, 5, 5]]


def test_writing_stops_when_every_row_is_finished():
    model = Counting()
    assert generate(model, [[3]], max_new_tokens=100, eos_token_id=5).tolist() == [[3, 4, 5]]
    assert len(model.seen) == 2


def test_an_end_token_in_the_prompt_ends_nothing():
    result = generate(Counting(), [[5, 1]], max_new_tokens=2, eos_token_id=5)
    assert result.tolist() == [[5, 1, 2, 3]]


def test_the_streamer_gets_the_new_ids_of_each_step():
    steps = []
    result = generate(Counting(), [[0, 1], [3, 4]], max_new_tokens=3, streamer=steps.append)
    np.testing.assert_array_equal(np.stack(steps, axis=1), result[:, 2:])
    assert np.stack(steps).tolist() == [[2, 5], [3, 6], [4, 0]]


def test_a_sliding_window_shows_the_model_only_the_last_positions(prompts):
    model = small_gpt().eval()
    ids = prompts[:1]
    for _ in range(10):
        new = model(ids[:, -9:]).logits.numpy()[:, -1].argmax(axis=-1)
        ids = np.concatenate([ids, new[:, None]], axis=1)
    result = model.generate(prompts[:1], max_new_tokens=10, sliding_window=True)
    np.testing.assert_array_equal(result, ids)


def test_a_prompt_longer_than_the_window_is_kept_in_the_result(rng):
    prompt = rng.integers(0, 11, (1, 12))
    result = small_gpt().generate(prompt, max_new_tokens=2, sliding_window=True)
    assert result.shape == (1, 14)
    np.testing.assert_array_equal(result[:, :12], prompt)


def test_the_whole_window_may_be_used_without_sliding(prompts):
    assert small_gpt().generate(prompts, max_length=9).shape == (3, 9)


@pytest.mark.parametrize("mode", [True, False])
def test_the_model_returns_to_the_mode_it_was_in(prompts, mode):
    model = small_gpt().train(mode)
    model.generate(prompts, max_new_tokens=2)
    assert {module.training for module in model.modules()} == {mode}


def test_the_mode_comes_back_after_an_error_too(prompts):
    model = small_gpt().train()
    with pytest.raises((ValueError, IndexError)):
        model.generate(prompts + 11, max_new_tokens=2)
    assert model.training


def test_dropout_is_off_while_writing(prompts):
    quiet = small_gpt(embd_pdrop=0.0, resid_pdrop=0.0, attn_pdrop=0.0)
    noisy = small_gpt(embd_pdrop=0.5, resid_pdrop=0.5, attn_pdrop=0.5).train()
    results = [model.generate(prompts, max_new_tokens=5) for model in (quiet, noisy)]
    np.testing.assert_array_equal(*results)


def test_the_prompt_is_not_changed(prompts):
    before = prompts.copy()
    small_gpt().generate(prompts, max_new_tokens=2)
    np.testing.assert_array_equal(prompts, before)


@pytest.mark.parametrize(
    ("prompt", "options", "message"),
    [
        ([[1, 2]], {}, "either max_length or max_new_tokens"),
        ([[1, 2]], {"max_length": 5, "max_new_tokens": 3}, "either max_length or max_new_tokens"),
        (
            [[1, 2]],
            {"max_new_tokens": -1},
            "max_new_tokens must be an integer of at least 0, got -1",
        ),
        ([[1, 2]], {"max_length": 1}, "prompt has 2 tokens"),
        ([[1, 2]], {"max_length": 10}, "10 tokens are more than the 9 positions"),
        ([[]], {"max_new_tokens": 1}, "at least one token"),
        ([], {"max_new_tokens": 1}, "at least one token"),
        ([[1.5]], {"max_new_tokens": 1}, "must be integers"),
        (np.zeros((1, 2, 3), int), {"max_new_tokens": 1}, r"\(1, 2, 3\)"),
        ([[1, 2], [3]], {"max_new_tokens": 1}, "rectangular|inhomogeneous|equal length"),
        ([[1, 11]], {"max_new_tokens": 1}, "11"),
        ([[1]], {"max_new_tokens": 1, "do_sample": True, "temperature": 0}, "above 0 .*, got 0"),
        ([[1]], {"max_new_tokens": 1, "do_sample": True, "temperature": -1.0}, "above 0"),
        ([[1]], {"max_new_tokens": 1, "do_sample": True, "top_k": 0}, "at least 1, got 0"),
    ],
)
def test_arguments_without_meaning_are_refused(prompt, options, message):
    with pytest.raises((ValueError, IndexError), match=message):
        small_gpt().generate(prompt, **options)


def test_a_seed_instead_of_a_generator_is_explained(prompts):
    with pytest.raises(TypeError, match="default_rng"):
        small_gpt().generate(prompts, max_new_tokens=1, do_sample=True, rng=5)


@pytest.mark.parametrize("do_sample", [True, False])
def test_a_broken_model_is_not_sampled_from(prompts, do_sample):
    model = small_gpt()
    model.transformer.wte.weight.data[...] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        model.generate(prompts, max_new_tokens=1, do_sample=do_sample)
