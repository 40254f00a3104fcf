"""Labelled files: what is read, what is refused by file and line, and splits by class."""

import numpy as np
import pytest

from minillm.data import read_labelled, stratified_split


@pytest.fixture
def write(tmp_path):
    def written(content):
        path = tmp_path / "own.tsv"
        path.write_bytes(content.encode("utf-8"))
        return path

    return written


def test_texts_labels_and_names(write):
    data = read_labelled(write("\ufeffgut\tja\r\n\r\nein\tTab\tnein\n schlecht \t nein \n"))
    assert data.texts == ["gut", "ein\tTab", "schlecht"]
    assert data.names == ["ja", "nein"]
    assert data.labels.tolist() == [0, 1, 1]


def test_other_line_ends_belong_to_the_text(write):
    data = read_labelled(write("one\x85two\ta\nthree\tb\n"))
    assert data.texts == ["one\x85two", "three"]


def test_given_labels_decide_the_numbers(write):
    path = write("x\tgood\ny\tbad\n")
    assert read_labelled(path, ["good", "bad"]).labels.tolist() == [0, 1]
    with pytest.raises(ValueError, match=r"own.tsv, line 2: the label 'bad' is none of good, odd"):
        read_labelled(path, ["good", "odd"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a\tx\n\nno tab here\n", r"own\.tsv, line 3: there is no tab: .*found 'no tab here'"),
        ("a\tx\n  \ty\n", r"own\.tsv, line 2: the text is empty"),
        ("a\tx\nb\t\n", r"own\.tsv, line 2: the label is empty"),
        ("a\tx\nb\tx\n", r"own\.tsv: all texts have the label 'x'"),
        ("a\tx\nb\tx\nc\ty\n", r"own\.tsv: the class 'y' has 1 example, in line 3; .*at least 2"),
        ("\n\n", "is empty"),
    ],
)
def test_bad_files_are_refused_by_name_and_line(write, content, message):
    with pytest.raises(ValueError, match=message):
        read_labelled(write(content), at_least=2)


def test_a_class_without_examples_is_named(write):
    with pytest.raises(ValueError, match="the class 'c' has 0 examples; each class needs"):
        read_labelled(write("1\ta\n2\tb\n"), ["a", "b", "c"], at_least=1)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_split_keeps_the_share_of_each_class(seed):
    labels = np.array([0] * 50 + [1] * 10 + [2] * 2)
    train, test = stratified_split(labels, 0.2, seed=seed)
    assert np.bincount(labels[test]).tolist() == [10, 2, 1]
    assert sorted([*train.tolist(), *test.tolist()]) == list(range(62))
    again = stratified_split(labels, 0.2, seed=seed)
    assert again[1].tolist() == test.tolist()
    assert stratified_split(labels, 0.2, seed=seed + 3)[1].tolist() != test.tolist()


def test_equal_texts_stay_on_one_side():
    keys = [f"text {i // 3}" for i in range(60)]
    labels = [i % 2 for i in range(20) for _ in range(3)]
    train, test = stratified_split(labels, 0.25, seed=4, keys=keys)
    assert not {keys[i] for i in train} & {keys[i] for i in test}
    assert len(test) >= 15


def test_split_refuses_what_cannot_be_split():
    with pytest.raises(ValueError, match="the class 1 is missing from the test part"):
        stratified_split([0, 0, 0, 1])
    with pytest.raises(ValueError, match="class 1 is missing from the test part"):
        stratified_split([0, 0, 1, 1], 0.5, keys=["a", "b", "same", "same"])
    with pytest.raises(ValueError, match=r"within 0 … 1, got 1\.5"):
        stratified_split([0, 1], 1.5)
    with pytest.raises(ValueError, match="1 keys for 2 labels"):
        stratified_split([0, 1], 0.5, keys=["a"])
