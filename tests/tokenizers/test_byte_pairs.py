"""Learning merges incrementally, against counting everything anew for each merge."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from minillm.tokenizers.byte_pairs import PairTable, learn_merges, merge_pair
from minillm.tokenizers.wordpiece import PREFIX, join_names, learn_pieces

WORDS = st.dictionaries(
    st.lists(st.integers(0, 3), min_size=1, max_size=12).map(tuple),
    st.integers(1, 9),
    min_size=1,
    max_size=12,
)


def count_pairs(words):
    counts = Counter()
    for word, count in words:
        for i in range(len(word) - 1):
            counts[word[i], word[i + 1]] += count
    return counts


def replace(word, pair, new):
    out = []
    for symbol in word:
        out.append(symbol)
    i = 0
    while i < len(out) - 1:
        if (out[i], out[i + 1]) == pair:
            out[i : i + 2] = [new]
        i += 1
    return out


def naive(words, names, vocab_size, min_frequency, score, join):
    """Algorithm 1 of the paper, literally: count everything, take the best, merge, again."""
    names, merges = list(names), []
    words = [(list(word), count) for word, count in words.items()]
    while len(names) < vocab_size:
        pairs = count_pairs(words)
        pieces = Counter()
        for word, count in words:
            for piece in word:
                pieces[piece] += count
        frequent = [pair for pair in pairs if pairs[pair] >= min_frequency]
        if not frequent:
            break
        best = min(frequent, key=lambda pair: (-score(pair, pairs, pieces), pair))
        name = join(names[best[0]], names[best[1]])
        if name not in names:
            names.append(name)
        merges.append(best)
        words = [(replace(word, best, names.index(name)), count) for word, count in words]
    return names, merges


@given(WORDS, st.integers(4, 20), st.integers(1, 4))
def test_byte_pairs_are_learned_as_by_counting_anew(words, vocab_size, min_frequency):
    expected = naive(
        words, "abcd", vocab_size, min_frequency, lambda p, pairs, _: pairs[p], lambda a, b: a + b
    )
    assert learn_merges(words, "abcd", vocab_size, min_frequency) == expected


@given(
    st.dictionaries(st.text("abc", min_size=1, max_size=10), st.integers(1, 9), min_size=1),
    st.integers(6, 24),
    st.integers(1, 4),
)
def test_word_pieces_are_learned_as_by_counting_anew(texts, vocab_size, min_frequency):
    names = ["a", "b", "c", "##a", "##b", "##c"]
    words = {
        tuple(names.index(PREFIX + c if i else c) for i, c in enumerate(text)): count
        for text, count in texts.items()
    }

    def likelihood(pair, pairs, pieces):
        return pairs[pair] / (pieces[pair[0]] * pieces[pair[1]])

    expected, _ = naive(words, names, vocab_size, min_frequency, likelihood, join_names)
    assert learn_pieces(words, names, vocab_size, min_frequency) == expected


@given(WORDS, st.tuples(st.integers(0, 3), st.integers(0, 3)))
def test_a_merge_leaves_exact_counts(words, pair):
    table = PairTable(words)
    if pair not in table.pair_counts:
        return
    before = sum(len(w) * c for w, c in zip(table.words, table.counts, strict=True))
    merged, _ = table.merge(pair, 4)
    after = sum(len(w) * c for w, c in zip(table.words, table.counts, strict=True))
    assert before - after == merged > 0
    assert table.words == [replace(word, pair, 4) for word in words]
    assert dict(table.pair_counts) == dict(count_pairs(zip(table.words, table.counts, strict=True)))


def test_a_pair_with_itself_is_merged_from_the_left():
    assert merge_pair([1, 1, 1, 1, 1], (1, 1), 2) == [2, 2, 1]
    assert merge_pair([], (1, 1), 2) == []


def test_ties_go_to_the_smaller_left_then_right_id():
    assert learn_merges({(3, 1): 2, (2, 3): 2, (2, 1): 2}, "abcd", 5)[1] == [(2, 1)]


def test_two_pairs_that_spell_the_same_share_an_id():
    words = {(0, 1): 9, (0, 1, 2): 4, (1, 2): 8, (3, 1, 2): 5}
    names, merges = learn_merges({**words, (0, 0, 1, 2): 1}, "abcd", 40, 1)
    assert len(set(names)) == len(names)
    assert len(merges) >= len(names) - 4


def test_rare_pairs_are_left_alone():
    assert learn_merges({(0, 1): 1, (1, 2): 2}, "abc", 9, 2)[0] == ["a", "b", "c", "bc"]
    assert learn_merges({(0, 1): 1, (1, 2): 2}, "abc", 9, 3)[0] == ["a", "b", "c"]
