"""Beam search on tables of probabilities, against every text there is, and against its own rules."""

import itertools

import numpy as np
import pytest

from minillm.generation import beam_search, process_logits
from minillm.generation.beam_search import largest

END = 0


class Table:
    """A model whose next token depends on the last one only: p(next | last)."""

    def __init__(self, p, starts):
        with np.errstate(divide="ignore"):
            self.log_p = np.log(np.asarray(p, dtype=float))
        self.last, self.calls = np.asarray(starts), []

    def __call__(self, tokens=None, rows=None):
        self.calls.append((tokens, rows))
        if tokens is not None:
            self.last = tokens
        return self.log_p[self.last]


class History:
    """A model whose logits depend on the whole text, which it follows through `rows`."""

    def __init__(self, prompt, vocab_size, seed):
        self.texts = [list(row) for row in prompt]
        self.vocab_size, self.seed = vocab_size, seed

    def logits(self, text):
        seed = [self.seed, *(int(token) for token in text)]
        return np.random.default_rng(seed).normal(0, 1.5, self.vocab_size)

    def __call__(self, tokens=None, rows=None):
        if tokens is not None:
            self.texts = [[*self.texts[r], t] for r, t in zip(rows, tokens, strict=True)]
        return np.array([self.logits(text) for text in self.texts])


def every_text(model, prompt, new, penalty, end=END):
    """(score, text) of every text that ends with `end` or has `new` tokens; best first."""
    found = []
    for n in range(1, new + 1):
        for tokens in itertools.product(range(model.vocab_size), repeat=n):
            if end in tokens[:-1] or (n < new and tokens[-1] != end):
                continue
            total, text = 0.0, list(prompt)
            for token in tokens:
                z = model.logits(text)
                total += z[token] - np.log(np.exp(z).sum())
                text.append(token)
            found.append((total / n**penalty, text))
    return sorted(found, key=lambda pair: -pair[0])


def texts_of(result, row):
    return [
        text[:n].tolist()
        for text, n in zip(result.sequences[row], result.lengths[row], strict=True)
    ]


@pytest.mark.parametrize("penalty", [0.0, 0.5, 1.0, 2.0, -1.0])
@pytest.mark.parametrize("seed", range(3))
def test_enough_beams_find_the_best_of_all_texts(penalty, seed):
    prompt = np.array([[1, 2], [3, 1]])
    model = History(prompt, 4, seed)
    result = beam_search(
        model, prompt, num_beams=40, max_length=5, eos_token_ids=[END], length_penalty=penalty,
        early_stopping="never",
    )  # fmt: skip
    for row in range(2):
        expected = every_text(model, prompt[row], 3, penalty)
        assert len(expected) == 40  # 1 + 3 + 9 * 4
        np.testing.assert_allclose(result.scores[row], [s for s, _ in expected], rtol=1e-12)
        assert texts_of(result, row) == [text for _, text in expected]


def test_one_beam_is_greedy():
    prompt = np.array([[1, 2], [3, 1], [2, 2]])
    found = beam_search(History(prompt, 6, 5), prompt, num_beams=1, max_length=7).sequences[:, 0]
    model, text = History(prompt, 6, 5), prompt
    for _ in range(5):
        best = [model.logits(row).argmax() for row in text]
        text = np.concatenate([text, np.array(best)[:, None]], axis=1)
    np.testing.assert_array_equal(found, text)


def test_two_beams_find_what_greedy_misses():
    #     1 -> 2 (0.6) -> any (0.25)         1 -> 3 (0.4) -> 4 (0.9)
    p = np.full((5, 5), 0.2)
    p[1] = [0, 0, 0.6, 0.4, 0]
    p[2] = [0, 0.25, 0.25, 0.25, 0.25]
    p[3] = [0, 0.1, 0, 0, 0.9]
    one, two = (
        beam_search(Table(p, [1]), np.array([[1]]), num_beams=k, max_length=3) for k in (1, 2)
    )
    assert texts_of(one, 0) == [[1, 2, 1]]
    assert texts_of(two, 0)[0] == [1, 3, 4]
    np.testing.assert_allclose(two.scores[0] * 2, np.log([0.36, 0.15]))


def test_an_end_counts_only_among_the_first_candidates():
    """With two beams, the end token is third of the candidates of step one: it is dropped."""
    p = np.array([[0.2] * 5, [0.2, 0.0, 0.45, 0.35, 0.0], *[[0.01, 0.3, 0.3, 0.3, 0.09]] * 3])
    options = {"max_length": 3, "eos_token_ids": [END], "length_penalty": 0.0}
    two = beam_search(Table(p, [1]), np.array([[1]]), num_beams=2, **options)
    assert [1, END] not in texts_of(two, 0)  # though its 0.2 beats 0.45 * 0.3
    np.testing.assert_allclose(two.scores[0], np.log([0.135, 0.135]))
    three = beam_search(Table(p, [1]), np.array([[1]]), num_beams=3, **options)
    assert texts_of(three, 0)[0] == [1, END]


def test_the_end_token_counts_as_a_token():
    p = np.array([
        [0.2] * 5,
        [0.0, 0.0, 1.0, 0.0, 0.0],
        [0.9, 0.1, 0.0, 0.0, 0.0],
        *[[0.2] * 5] * 2,
    ])
    for penalty in (0.0, 1.0, 2.0):
        result = beam_search(
            Table(p, [1]), np.array([[1]]), num_beams=2, max_length=9, eos_token_ids=[END],
            length_penalty=penalty,
        )  # fmt: skip
        assert texts_of(result, 0)[0] == [1, 2, END]
        np.testing.assert_allclose(result.scores[0, 0], np.log(0.9) / 2**penalty)


def steps_until_it_stops(end, go_on, early_stopping, penalty=1.0):
    """How often the model is asked: after the first token a text ends or goes on so probably."""
    p = np.zeros((5, 5))
    p[1] = [0.30, 0.0, 0.25, 0.25, 0.20]
    p[[2, 3, 4], [1, 3, 4]] = go_on
    p[[0, 2, 3, 4], END] = 1, end, end, end
    model = Table(p, [1])
    beam_search(
        model, np.array([[1]]), num_beams=2, max_length=12, eos_token_ids=[END],
        length_penalty=penalty, early_stopping=early_stopping,
    )  # fmt: skip
    return len(model.calls)


def test_early_stopping_is_content_with_the_first_texts():
    """Texts that go on have the better mean: only early_stopping=True does not wait for it."""
    assert steps_until_it_stops(0.3, 0.7, True) < 5
    assert steps_until_it_stops(0.3, 0.7, False) == steps_until_it_stops(0.3, 0.7, "never") == 11


def test_never_waits_for_what_a_longer_text_could_reach():
    """Two texts end with log(0.15) / 2 = -0.95.  The best that runs has log(0.1) = -2.3: now it is
    divided by 2 and loses, divided by 11 it would win."""
    assert steps_until_it_stops(0.6, 0.4, False) == 2
    assert steps_until_it_stops(0.6, 0.4, "never") > 2
    # log(0.25 * 0.2^4) / 11 = -0.71 beats log(0.2) / 2 = -0.80, log(0.25 * 0.2^5) / 11 = -0.86 not
    assert steps_until_it_stops(0.8, 0.2, "never") == 6
    # without a length penalty a longer text cannot win
    assert steps_until_it_stops(0.6, 0.4, "never", penalty=0.0) == 2


def test_the_first_call_has_one_row_for_each_prompt_and_later_ones_all_beams():
    model = Table(np.full((5, 5), 0.2), [1, 2])
    beam_search(model, np.array([[1], [2]]), num_beams=3, max_length=3)
    assert model.calls[0] == (None, None)
    tokens, rows = model.calls[1]
    assert tokens.shape == (6,)
    assert rows.tolist() == [0, 0, 0, 1, 1, 1]


def test_later_rows_stay_within_their_prompt():
    prompt = np.array([[1], [2]])
    model = History(prompt, 7, 3)
    seen = []

    def step(tokens=None, rows=None):
        seen.append(rows)
        return model(tokens, rows)

    beam_search(step, prompt, num_beams=3, max_length=8)
    for rows in seen[2:]:
        assert (rows // 3).tolist() == [0, 0, 0, 1, 1, 1]


def test_a_prompt_does_not_depend_on_its_neighbours():
    prompts, options = np.array([[1, 2], [3, 4], [0, 5]]), {"num_beams": 3, "max_length": 9}
    options["eos_token_ids"] = [2]
    together = beam_search(History(prompts, 6, 8), prompts, **options)
    for row in range(3):
        one = prompts[row : row + 1]
        alone = beam_search(History(one, 6, 8), one, **options)
        assert texts_of(together, row) == texts_of(alone, 0)
        np.testing.assert_allclose(together.scores[row], alone.scores[0])


def test_the_processor_sees_the_texts_and_changes_what_is_added_up():
    seen = []

    def forbid_three(log_p, ids):
        seen.append(ids.tolist())
        log_p = log_p.copy()
        log_p[:, 3] = -np.inf
        return log_p

    prompt = np.array([[1, 3]])
    result = beam_search(
        History(prompt, 5, 1), prompt, num_beams=2, max_length=6, process=forbid_three
    )
    assert 3 not in result.sequences[:, :, 2:]
    assert seen[0] == [[1, 3], [1, 3]]
    assert [len(ids[0]) for ids in seen] == [2, 3, 4, 5]


def test_more_beams_than_tokens_still_give_texts():
    prompt = np.array([[1]])
    result = beam_search(History(prompt, 3, 1), prompt, num_beams=5, max_length=3)
    assert texts_of(result, 0)[:5] == [text for _, text in every_text(
        History(prompt, 3, 1), [1], 2, 1.0, end=None)[:5]]  # fmt: skip


def test_drawn_beams_come_as_often_as_their_probability():
    """Two beams of one token: pairs drawn without replacement, p_i p_j / (1 - p_i), both orders."""
    p = np.array([0.5, 0.3, 0.15, 0.05])
    table, rng, counts = np.tile(p, (4, 1)), np.random.default_rng(5), np.zeros((4, 4))
    n = 4000
    for _ in range(n):
        found = beam_search(Table(table, [1]), np.array([[1]]), num_beams=2, max_length=2, rng=rng)
        i, j = sorted(found.sequences[0, :, 1])
        counts[i, j] += 1
    chi_square = 0.0
    for i, j in itertools.combinations(range(4), 2):
        expected = n * p[i] * p[j] * (1 / (1 - p[i]) + 1 / (1 - p[j]))
        chi_square += (counts[i, j] - expected) ** 2 / expected
    assert counts.sum() == n
    assert chi_square < 20.52  # 99.9 % of draws with 5 degrees of freedom stay below


def test_tokens_that_are_ruled_out_are_not_drawn():
    prompt, rng = np.array([[1]]), np.random.default_rng(2)
    for _ in range(20):
        found = beam_search(
            History(prompt, 9, 1), prompt, num_beams=2, max_length=4, rng=rng,
            process=lambda z, ids: process_logits(z, ids, top_k=3, min_keep=2),
        )  # fmt: skip
        for text in found.sequences[0]:
            for t in range(1, 4):
                assert text[t] in np.argsort(-History(prompt, 9, 1).logits(text[:t]))[:3]


def test_a_broken_model_is_not_searched():
    with pytest.raises(ValueError, match="NaN"):
        beam_search(lambda *_: np.array([[np.nan, 0]]), np.array([[0]]), num_beams=1, max_length=3)


def test_the_largest_come_first_and_ties_by_place():
    x = np.array([[1.0, 3.0, 2.0, 3.0], [0.0, 0.0, 0.0, 0.0], [-np.inf, 5.0, -np.inf, -1e9]])
    assert largest(x, 3).tolist() == [[1, 3, 2], [0, 1, 2], [1, 3, 0]]
