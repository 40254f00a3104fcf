"""Reading text: what is not text in UTF-8 is refused in one line that says where."""

import pytest

from minillm.data import python_topics, read_text, split_text


def write(folder, content):
    path = folder / "text.txt"
    path.write_bytes(content)
    return path


def refusal(path, error=ValueError, **options):
    with pytest.raises(error) as caught:
        read_text(path, **options)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


def test_text_in_any_language_is_read_as_it_is(tmp_path):
    text = "grüße 世界 🚀\nsecond line\ttab\n"
    assert read_text(write(tmp_path, text.encode())) == text
    assert read_text(str(tmp_path / "text.txt")) == text


def test_a_byte_order_mark_is_left_out(tmp_path):
    assert read_text(write(tmp_path, b"\xef\xbb\xbfabc")) == "abc"


def test_windows_line_ends_become_newlines(tmp_path):
    assert read_text(write(tmp_path, b"one\r\ntwo\r\n\r\nthree")) == "one\ntwo\n\nthree"


def test_a_bad_byte_is_named_with_its_position_and_line(tmp_path):
    message = refusal(write(tmp_path, b"one\ntwo \xe9t\xe9\n"))
    assert "not UTF-8" in message
    assert "byte 0xe9 at position 8 " in message
    assert "line 2" in message


def test_a_bad_byte_after_a_byte_order_mark_has_its_position_in_the_file(tmp_path):
    message = refusal(write(tmp_path, b"\xef\xbb\xbfab\n\xffcd"))
    assert "byte 0xff at position 6 " in message
    assert "line 2" in message


def test_a_character_cut_in_two_is_named(tmp_path):
    assert "byte 0xe4 at position 2 " in refusal(write(tmp_path, b"ab\xe4\xb8"))


def test_utf_16_is_refused(tmp_path):
    assert "0xff at position 0 " in refusal(write(tmp_path, "abc".encode("utf-16")))


@pytest.mark.parametrize("content", [b"", b"  \n\t\n", b"\xef\xbb\xbf"])
def test_an_empty_file_is_refused(tmp_path, content):
    assert "empty" in refusal(write(tmp_path, content))


def test_a_text_that_is_too_short_is_refused_with_both_numbers(tmp_path):
    path = write(tmp_path, "世界ab".encode())
    message = refusal(path, at_least=5)
    assert "4 characters" in message
    assert "at least 5" in message
    assert read_text(path, at_least=4) == "世界ab"


def test_a_missing_file_is_named(tmp_path):
    refusal(tmp_path / "nowhere.txt", FileNotFoundError)


def test_a_folder_is_named(tmp_path):
    assert "folder" in refusal(tmp_path)


def test_the_text_is_cut_once():
    text = "".join(map(chr, range(200, 300)))
    train, validation = split_text(text, 0.1)
    assert train + validation == text
    assert len(validation) == 10


@pytest.mark.parametrize("tenths", range(1, 10))
def test_the_last_tenths_are_for_validation(tenths):
    assert split_text("abcdefghij", tenths / 10)[1] == "abcdefghij"[10 - tenths :]


@pytest.mark.parametrize("share", [0, 1, -0.1, 1.5])
def test_a_share_without_meaning_is_refused(share):
    with pytest.raises(ValueError, match="within 0"):
        split_text("abc", share)


def test_every_python_brings_half_a_megabyte_of_prose():
    text = python_topics()
    assert len(text) > 300_000
    assert text == python_topics()
    assert "function" in text
