"""Word vectors whoever learned them: neighbours, analogies, files, embeddings, the corpus."""

import numpy as np
import pytest

from minillm.models import GloVe, Word2Vec, WordVectors
from minillm.models.word_vectors import read_corpus
from minillm.tokenizers import BertTokenizer, CharTokenizer

from .planted_words import FRUIT, TASTE, fresh, planted_sentences

KINDS = ["skip-gram", "cbow", "glove"]


def some_vectors():
    rng = np.random.default_rng(3)
    words = ["sun", "moon", "star", "灯塔", "sea"]
    return WordVectors(words, rng.standard_normal((5, 4)).astype(np.float32), np.arange(5)[::-1])


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_what_was_planted_is_found(kind, seed):
    model = fresh(kind, seed).fit(planted_sentences())
    for group in (FRUIT, TASTE):
        for word in group:
            neighbours = [other for other, _ in model.most_similar(word, n=2)]
            assert set(neighbours) == set(group) - {word}
    assert model.analogy("man", "king", "woman")[0][0] == "queen"
    assert model.losses[-1] < 0.9 * model.losses[0]


@pytest.mark.parametrize("kind", KINDS)
def test_equal_seeds_give_equal_vectors_and_others_others(kind):
    sentences = list(planted_sentences(200))
    first, second, other = (fresh(kind, seed).fit(sentences).vectors for seed in (5, 5, 6))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other)


def test_neighbours_are_those_of_the_literal_cosine():
    vectors = some_vectors()
    literal = {
        word: vectors["sun"] @ vectors[word]
        / np.sqrt((vectors["sun"] ** 2).sum() * (vectors[word] ** 2).sum())
        for word in vectors.words[1:]
    }  # fmt: skip
    found = vectors.most_similar("sun", n=10)
    assert [word for word, _ in found] == sorted(literal, key=lambda w: -literal[w])
    for word, cosine in found:
        assert cosine == pytest.approx(literal[word], abs=1e-6)
        assert vectors.similarity("sun", word) == pytest.approx(cosine, abs=1e-6)


def test_the_words_of_the_question_are_no_answer():
    vectors = some_vectors()
    found = [word for word, _ in vectors.analogy("sun", "sun", "moon", n=10)]
    assert sorted(found) == sorted(["star", "灯塔", "sea"])


def test_a_vector_of_zeros_has_cosine_zero():
    vectors = WordVectors(["a", "b"], np.array([[0.0, 0.0], [1.0, 0.0]]))
    assert vectors.most_similar("a") == [("b", 0.0)]


@pytest.mark.parametrize("format_", ["text", "safetensors"])
def test_files_keep_every_bit(tmp_path, format_):
    vectors, path = some_vectors(), tmp_path / "vectors"
    save, load = (
        (vectors.save_text, WordVectors.load_text) if format_ == "text"
        else (vectors.save, WordVectors.load)
    )  # fmt: skip
    save(path)
    loaded = load(path)
    assert loaded.words == vectors.words
    np.testing.assert_array_equal(loaded.vectors, vectors.vectors)
    if format_ == "safetensors":
        np.testing.assert_array_equal(loaded.counts, vectors.counts)


def test_the_text_format_is_that_of_word2vec(tmp_path):
    WordVectors(["a", "b"], np.array([[1.5, -2.0], [0.0, 3.0]], dtype=np.float32)).save_text(
        tmp_path / "v.txt"
    )
    assert (tmp_path / "v.txt").read_text(encoding="utf-8") == "2 2\na 1.5 -2\nb 0 3\n"


def test_published_glove_files_have_no_first_line_and_words_with_spaces(tmp_path):
    path = tmp_path / "glove.txt"
    path.write_text("the 1 2 3\nat home 4 5 6\r\nlast 7 8 9\n", encoding="utf-8")
    loaded = WordVectors.load_text(path, limit=2)
    assert loaded.words == ["the", "at home"]
    np.testing.assert_array_equal(loaded.vectors, [[1, 2, 3], [4, 5, 6]])


def test_an_embedding_has_the_vectors_in_the_order_of_the_vocabulary():
    vectors = some_vectors()
    table = vectors.to_embedding(["[PAD]", "moon", "unheard", "sun"], padding_idx=0).weight.data
    np.testing.assert_array_equal(table[[1, 3]], vectors.vectors[[1, 0]])
    assert not table[0].any()
    assert 0 < np.abs(table[2]).max() < 5 * vectors.vectors.std()
    assert table.dtype == np.float32
    np.testing.assert_array_equal(vectors.to_embedding().weight.data, vectors.vectors)


def test_an_embedding_for_a_tokenizer():
    vectors = some_vectors()
    tokenizer = BertTokenizer({
        "[PAD]": 0,
        "[UNK]": 1,
        "[CLS]": 2,
        "[SEP]": 3,
        "[MASK]": 4,
        "sea": 5,
    })
    embedding = vectors.to_embedding(tokenizer, padding_idx=0)
    assert embedding.weight.shape == (6, 4)
    np.testing.assert_array_equal(embedding(np.array([5])).data[0], vectors["sea"])


def test_an_embedding_for_characters():
    vectors = WordVectors(["灯", "塔"], np.array([[1.0, 2.0], [3.0, 4.0]]))
    tokenizer = CharTokenizer.train(["塔灯"])
    embedding = vectors.to_embedding(tokenizer)
    rows = embedding(np.array(tokenizer.encode("塔灯"))).data
    np.testing.assert_array_equal(rows, [[3, 4], [1, 2]])


def test_words_are_counted_and_rare_ones_left_out():
    corpus = read_corpus("test", iter(["b a a", ["c", "a", "b"]]), min_count=2)
    assert corpus.words == ["a", "b"]
    assert corpus.counts.tolist() == [3, 2]
    assert corpus.ids.tolist() == [1, 0, 0, 0, 1]
    assert corpus.sentences.tolist() == [0, 0, 0, 1, 1]


@pytest.mark.parametrize("model", [Word2Vec, GloVe])
def test_sentences_that_cannot_be_learned_from(model):
    name = model.__name__
    for empty in ([], [""], ["word word"]):
        with pytest.raises(ValueError) as caught:
            model().fit(empty)
        assert str(caught.value).startswith(f"{name}: the sentences hold ")
        assert "at least 2 are needed" in str(caught.value)
    with pytest.raises(ValueError) as caught:
        model().fit(["one", "two", "three"])
    assert "no sentence has two words" in str(caught.value)
    with pytest.raises(TypeError) as caught:
        model().fit("one string")
    assert "give a list of sentences" in str(caught.value)
    with pytest.raises(TypeError) as caught:
        model().fit([["a", "b"], ["a", 3]])
    assert "sentence 1 holds 3, a int" in str(caught.value)


def test_asking_before_training():
    for model in (Word2Vec(), GloVe()):
        with pytest.raises(ValueError) as caught:
            model.most_similar("king")
        assert "call .fit(sentences) first" in str(caught.value)


def test_questions_without_an_answer(tmp_path):
    vectors = some_vectors()
    for ask in (vectors.most_similar, vectors.__getitem__):
        with pytest.raises(KeyError) as caught:
            ask("moom")
        assert "'moom' is not among the 5 words, which begin with sun, moon, star" in str(
            caught.value
        )
    with pytest.raises(KeyError):
        vectors.analogy("sun", "moon", "moom")
    with pytest.raises(ValueError) as caught:
        vectors.most_similar("sun", n=0)
    assert "n must be at least 1, got 0" in str(caught.value)
    with pytest.raises(ValueError) as caught:
        vectors.to_embedding(["Sun", "Moon"])
    assert "none of the 2 tokens" in str(caught.value)
    with pytest.raises(TypeError) as caught:
        vectors.to_embedding(3)
    assert "got int" in str(caught.value)
    with pytest.raises(ValueError) as caught:
        WordVectors(["a", "a"], np.zeros((2, 2)))
    assert "'a' is there twice" in str(caught.value)
    with pytest.raises(ValueError) as caught:
        WordVectors(["a b", "c"], np.zeros((2, 2))).save_text(tmp_path / "v.txt")
    assert "'a b' cannot be written" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("2 3\na 1 2 3\nb 1 2\n", "line 3: expected a word and 3 numbers, got 'b 1 2'"),
        ("2 3\na 1 2 x\n", "line 2: expected a word and 3 numbers"),
        ("word\n", "line 1: expected a word and 0 numbers"),
        ("", "holds no word vectors"),
    ],
)
def test_files_that_are_none(tmp_path, text, message):
    path = tmp_path / "broken.txt"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError) as caught:
        WordVectors.load_text(path)
    assert message in str(caught.value)
    assert "broken.txt" in str(caught.value)
    with pytest.raises(FileNotFoundError):
        WordVectors.load_text(tmp_path / "nowhere.txt")
