"""Public data sets: exact formats, splits without leaks, and downloads from a server of our own."""

import hashlib
import http.server
import os
import socket
import threading
from pathlib import Path

import numpy as np
import pytest

from minillm.data import (
    DownloadError,
    Source,
    Translation,
    data_folder,
    datasets,
    fetch,
    load_labelled_sentences,
    load_names,
    load_sms_spam,
    load_tatoeba,
    load_tiny_shakespeare,
    split_examples,
)

CONTENT = b"emma\nolivia\n"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves the files of the class attribute and counts what was asked for."""

    files = {"/names.txt": CONTENT, "/headed.txt": b"name\n" + CONTENT}  # noqa: RUF012
    asked: list = []  # noqa: RUF012

    def do_GET(self):
        self.asked.append(self.path)
        body = self.files.get(self.path)
        self.send_response(404 if body is None else 200)
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, *parts):
        return None


@pytest.fixture
def server(monkeypatch):
    """The address of a server on this machine."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(datasets, "_licences_shown", set())
    Handler.asked.clear()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as web:
        thread = threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{web.server_address[1]}"
        web.shutdown()
        thread.join()


def source(server, path="/names.txt", sha256=SHA256, **options):
    return Source("names.txt", server + path, sha256, "free for all", **options)


def test_a_good_file_is_downloaded_once_and_its_licence_is_printed_once(server, tmp_path, capsys):
    for _ in range(3):
        path = fetch(source(server), tmp_path)
        assert path.read_bytes() == CONTENT
    assert Handler.asked == ["/names.txt"]
    out, err = capsys.readouterr()
    assert out == "names.txt: free for all\n"
    assert err == ""


def test_a_file_that_was_changed_on_disk_is_downloaded_again(server, tmp_path):
    (tmp_path / "names.txt").write_bytes(b"emma\n")
    assert fetch(source(server), tmp_path).read_bytes() == CONTENT


def test_header_lines_of_the_publisher_are_cut_off_before_the_check(server, tmp_path):
    path = fetch(source(server, "/headed.txt", header_lines=1), tmp_path)
    assert path.read_bytes() == CONTENT
    with pytest.raises(DownloadError, match="is not the known"):
        fetch(source(server, "/headed.txt"), tmp_path / "other")


def test_a_wrong_hash_is_refused_and_nothing_is_kept(server, tmp_path, capsys):
    with pytest.raises(DownloadError) as caught:
        fetch(source(server, sha256="0" * 64), tmp_path)
    message = str(caught.value)
    assert f"{server}/names.txt is not the known names.txt" in message
    assert "0000000000000000…" in message
    assert "pass path=names.txt" in message
    assert "\n" not in message
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr().out == ""


def test_a_wrong_hash_leaves_the_old_file(server, tmp_path):
    (tmp_path / "names.txt").write_bytes(b"old\n")
    with pytest.raises(DownloadError):
        fetch(source(server, sha256="0" * 64), tmp_path)
    assert (tmp_path / "names.txt").read_bytes() == b"old\n"


def test_no_connection_is_one_clear_sentence(server, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]  # bound, but nobody listens: connections are refused
        with pytest.raises(DownloadError) as caught:
            fetch(source(f"http://127.0.0.1:{port}"), tmp_path)
    assert str(caught.value) == (
        f"names.txt cannot be downloaded from http://127.0.0.1:{port}/names.txt (no connection): "
        "get it in another way and pass path=names.txt"
    )
    assert caught.value.__suppress_context__
    assert list(tmp_path.iterdir()) == []


def test_a_missing_file_names_the_answer_of_the_server(server, tmp_path):
    with pytest.raises(DownloadError, match="the server answers 404"):
        fetch(source(server, "/gone.txt"), tmp_path)


def test_a_folder_that_cannot_be_written(server, tmp_path):
    (tmp_path / "file").write_text("here", encoding="utf-8")
    with pytest.raises(DownloadError, match=r"cannot be written to .*MINILLM_DATA"):
        fetch(source(server), tmp_path / "file" / "below")


def test_the_folder_of_the_environment(monkeypatch, server, tmp_path):
    monkeypatch.setenv("MINILLM_DATA", str(tmp_path))
    assert data_folder() == tmp_path
    monkeypatch.setitem(datasets.SOURCES, "names", source(server))
    assert load_names() == ["emma", "olivia"]
    assert (tmp_path / "names.txt").exists()
    monkeypatch.delenv("MINILLM_DATA")
    assert "minillm" in str(data_folder())


def test_unknown_name():
    with pytest.raises(ValueError, match="'shakespear' is no known data set: tiny_shakespeare"):
        fetch("shakespear")


def test_pinned_sources_are_complete():
    for entry in datasets.SOURCES.values():
        assert len(bytes.fromhex(entry.sha256)) == 32
        assert entry.url.startswith("https://")
        assert any(len(part) == 40 for part in entry.url.split("/"))  # a commit, not a branch


# ------------------------------------------------------------------------------------ formats


def write(path, text):
    path.write_bytes(text.encode("utf-8"))
    return path


def test_a_sentence_with_u0085_stays_whole(tmp_path):
    file = write(tmp_path / "imdb_labelled.txt", "One\x85 two.  \t1\nBad\u2028 film.\t0\n")
    data = load_labelled_sentences(path=file)
    assert data.texts == ["One\x85 two.", "Bad\u2028 film."]
    assert data.labels.tolist() == [1, 0]


def test_a_sentence_may_hold_a_tab(tmp_path):
    assert load_labelled_sentences(path=write(tmp_path / "a", "a\tb\t1\n")).texts == ["a\tb"]


def test_all_parts_of_a_folder_in_order(tmp_path):
    for part in ("imdb", "amazon", "yelp"):
        write(tmp_path / datasets.SOURCES[part].file, f"{part}.\t1\n")
    assert load_labelled_sentences(path=tmp_path).texts == ["amazon.", "imdb.", "yelp."]
    assert load_labelled_sentences("yelp", tmp_path).texts == ["yelp."]


def test_messages(tmp_path):
    data = load_sms_spam(write(tmp_path / "sms", "ham\tOk\tlar...\r\nspam\tWIN £100\n"))
    assert data.texts == ["Ok\tlar...", "WIN £100"]
    assert data.labels.tolist() == [0, 1]


def test_translations_keep_their_attribution(tmp_path):
    text = "Hi.\t嗨。\tCC-BY #1 (CM)\nI am so very tired.\t我很累。\tCC-BY #2\n"
    pairs = load_tatoeba(write(tmp_path / "cmn.txt", text))
    assert pairs[0] == Translation("Hi.", "嗨。", "CC-BY #1 (CM)")
    assert load_tatoeba(tmp_path / "cmn.txt", max_words=5) == pairs
    assert load_tatoeba(tmp_path / "cmn.txt", max_words=4) == pairs[:1]


@pytest.mark.parametrize(
    ("load", "text", "message"),
    [
        (load_labelled_sentences, "Good.\t1\nBad.\t2\n", "line 2: expected sentence TAB 0 or 1"),
        (load_labelled_sentences, "Good.\n", "line 1: expected sentence TAB 0 or 1, found 'Good.'"),
        (load_labelled_sentences, " \t1\n", "line 1"),
        (load_sms_spam, "ham\tok\n\neggs\tno\n", "line 3: expected ham or spam, TAB, message"),
        (load_tatoeba, "Hi.\t嗨。\n", "line 1: expected English TAB Chinese TAB attribution"),
    ],
)
def test_a_bad_line_is_named(tmp_path, load, text, message):
    with pytest.raises(ValueError, match=message):
        load(path=write(tmp_path / "bad", text))


def test_unknown_part():
    with pytest.raises(ValueError, match="part must be one of amazon, imdb, yelp"):
        load_labelled_sentences("ebay")


# ----------------------------------------------------------------------------------- splitting


def test_a_split_has_everything_once_and_depends_on_the_seed():
    train, test = split_examples(range(50), 0.2, seed=3)
    assert len(test) == 10
    assert sorted(train + test) == list(range(50))
    assert train != sorted(train)
    assert (train, test) == split_examples(range(50), 0.2, seed=3)
    assert test != split_examples(range(50), 0.2, seed=4)[1]


def test_groups_stay_together_and_the_share_is_kept():
    rng = np.random.default_rng(0)
    pairs = [(int(group), i) for i, group in enumerate(rng.integers(0, 150, 600))]
    for seed in range(20):
        train, test = split_examples(pairs, 0.25, seed=seed, key=lambda pair: pair[0])
        assert not {g for g, _ in train} & {g for g, _ in test}
        assert sorted(train + test) == sorted(pairs)
        assert abs(len(test) - 150) <= 5
        assert [g for g, _ in test] != sorted(g for g, _ in test)


@pytest.mark.parametrize("share", [0, 1, -0.5, 2])
def test_bad_share(share):
    with pytest.raises(ValueError, match="test must be within"):
        split_examples([1, 2], share)


def test_a_part_without_examples_or_without_a_class():
    with pytest.raises(ValueError, match="one part would be empty"):
        split_examples([1, 1, 1], 0.5, key=lambda x: x)
    examples = [(i, i == 0) for i in range(20)]
    with pytest.raises(ValueError, match=r"no example of True is in the (test|training) part"):
        split_examples(examples, 0.2, label=lambda example: example[1])


# -------------------------------------------------------------- the real files, where they are


def real(name):
    """A published file in MINILLM_DATA or beside the repository; the test is skipped without it."""
    folders = [
        Path(os.environ.get("MINILLM_DATA") or "."),
        Path(__file__).parents[3] / "shared/data",
    ]
    for folder in folders:
        if (folder / datasets.SOURCES[name].file).is_file():
            return folder / datasets.SOURCES[name].file
    pytest.skip(f"{datasets.SOURCES[name].file} is not here: set MINILLM_DATA to its folder")
    return None


@pytest.mark.parametrize("name", datasets.SOURCES)
def test_real_files_have_the_pinned_hash(name):
    digest = hashlib.sha256(real(name).read_bytes()).hexdigest()
    assert digest == datasets.SOURCES[name].sha256


def test_real_texts():
    assert len(load_tiny_shakespeare(real("tiny_shakespeare"))) == 1_115_394
    assert len(load_names(real("names"))) == 32_033


def test_real_sentences():
    for part in ("amazon", "imdb", "yelp"):
        data = load_labelled_sentences(part, real(part))
        assert len(data.texts) == 1000
        assert data.labels.sum() == 500


def test_real_messages():
    data = load_sms_spam(real("sms_spam"))
    assert len(data.texts) == 5574
    assert data.labels.sum() == 747


def test_real_translations_do_not_leak():
    pairs = load_tatoeba(real("tatoeba"))
    assert len(pairs) == 26_388
    assert len({pair.english for pair in pairs}) == 25_331
    train, test = split_examples(pairs, 0.1, seed=1, key=lambda pair: pair.english)
    assert not {pair.english for pair in train} & {pair.english for pair in test}
    assert len(test) == 2639
