"""A full disk: files are old or new, never half; training goes on, and the end is an error."""

import json
from pathlib import Path

import pytest

from minillm.cli.main import main
from minillm.files import read_arrays
from minillm.models import GPT2LMHeadModel
from minillm.tokenizers import GPT2Tokenizer
from minillm.training import load_checkpoint

from .full_disk import SAVERS, TEXTS, full_disk, small_gpt

pytestmark = pytest.mark.skipif(
    not Path("/dev/full").exists(), reason="needs /dev/full and limits on file sizes: Linux"
)
RECIPE = (
    "--layers 1 --heads 2 --width 8 --block-size 6 --batch-size 2 --warmup 2 --evaluate-every 5"
)
FILES = {  # what each of them writes, in this order
    "checkpoint": ["arrays-00000008.safetensors", "checkpoint.json"],
    "model": ["model.safetensors", "config.json"],
    "adapter": ["adapter_model.safetensors", "adapter_config.json"],
    "bpe": ["vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json"],
    "wordpiece": ["vocab.txt", "tokenizer_config.json", "special_tokens_map.json"],
    "characters": ["char_tokenizer.json"],
}
ARRAYS = ["checkpoint", "model", "adapter"]


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def fail_to_save(what, folder, how):
    """What the error says."""
    with full_disk(folder, how), pytest.raises(OSError, match="cannot write") as caught:
        SAVERS[what](folder, 2)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


@pytest.fixture
def old_and_new(tmp_path, request):
    """A folder that holds something, what is in it, and what would be saved over it."""
    SAVERS[request.param](tmp_path / "run", 1)
    SAVERS[request.param](tmp_path / "new", 2)
    return request.param, tmp_path / "run", contents(tmp_path / "run"), contents(tmp_path / "new")


@pytest.mark.parametrize("old_and_new", SAVERS, indirect=True)
def test_where_no_file_fits_all_old_ones_survive(old_and_new):
    what, folder, old, new = old_and_new
    assert sorted(new) == sorted(FILES[what])
    line = fail_to_save(what, folder, 5)
    assert f"cannot write {folder / FILES[what][0]}: " in line
    assert "File too large" in line
    assert contents(folder) == old


@pytest.mark.parametrize("old_and_new", ARRAYS, indirect=True)
def test_where_the_last_byte_of_the_arrays_does_not_fit_all_old_files_survive(old_and_new):
    what, folder, old, new = old_and_new
    line = fail_to_save(what, folder, len(new[FILES[what][0]]) - 1)
    assert f"cannot write {folder / FILES[what][0]}: " in line
    assert contents(folder) == old


CASES = [(what, file) for what, files in FILES.items() for file in files if "safet" not in file]


@pytest.mark.parametrize(("old_and_new", "file"), CASES, indirect=["old_and_new"], ids=str)
def test_each_file_is_the_old_or_the_new_one(old_and_new, file):
    what, folder, old, new = old_and_new
    line = fail_to_save(what, folder, file)
    assert f"cannot write {folder / file}: No space left on device" in line
    before = FILES[what][: FILES[what].index(file)]  # were saved before the disk was full
    expected = {**old, **{name: new[name] for name in before}}
    if what == "checkpoint":  # the new arrays do not count without an index, and make room
        expected = old
        assert load_checkpoint(folder, small_gpt(1))["step"] == 4
    assert contents(folder) == expected
    SAVERS[what](folder, 2)
    assert contents(folder) == new


MIXED = {  # the second file is old, those before it are new
    ("bpe", "merges.txt"): (GPT2Tokenizer, "vocabulary and merges must come from one tokenizer"),
    ("model", "config.json"): (GPT2LMHeadModel, r"expected \(24,\), found \(48,\)"),
}


@pytest.mark.parametrize(("what", "file"), MIXED)
def test_a_folder_of_old_and_new_files_is_refused(tmp_path, what, file):
    kind, message = MIXED[what, file]
    SAVERS[what](tmp_path, 1)
    fail_to_save(what, tmp_path, file)
    with pytest.raises(ValueError, match=message):
        kind.from_pretrained(tmp_path)


@pytest.mark.parametrize("how", [5, "vocab.json"])
def test_a_new_folder_gets_no_half_of_a_file(tmp_path, how):
    assert "(nothing was written)" in fail_to_save("bpe", tmp_path, how)
    assert list(tmp_path.iterdir()) == []


# -------------------------------------------------------------------------------- the training


@pytest.fixture
def train(tmp_path, capsys):
    """train(out, steps, how, *more) runs minillm train; (its exit status, its last line)."""
    text = tmp_path / "text.txt"
    text.write_text("\n".join(TEXTS[1] * 8), encoding="utf-8")

    def run(out, steps, how=1 << 30, *more):
        picture = ["--picture", str(tmp_path / "loss.png")]
        arguments = ["--text", str(text), "--out", str(out), "--steps", str(steps), *picture]
        with full_disk(out, how):
            status = main(["train", *arguments, *RECIPE.split(), *more])
        said = capsys.readouterr().err
        assert "Traceback" not in said
        return status, said.splitlines()[-1]

    return run


def index(out):
    return json.loads((out / "checkpoint" / "checkpoint.json").read_text(encoding="utf-8"))


def test_train_goes_on_and_ends_with_an_error_and_resumes(tmp_path, train):
    out = tmp_path / "run"
    assert train(out, 10)[0] == 0
    before = contents(out / "checkpoint")
    with pytest.warns(UserWarning, match=r"step 15: .*arrays-00000015.*the training goes on"):
        status, line = train(out, 20, 2000, "--resume")
    assert status == 1
    assert line.startswith("minillm train: error: ")
    assert f"cannot write {out / 'checkpoint' / 'arrays-00000020.safetensors'}: " in line
    assert contents(out / "checkpoint") == before
    assert train(out, 20, 1 << 30, "--resume")[0] == 0
    assert index(out)["step"] == 20


def test_train_overcomes_a_disk_that_was_full_for_a_while(tmp_path, train):
    whole, out = tmp_path / "whole", tmp_path / "run"
    assert train(whole, 10)[0] == 0
    (out / "checkpoint").mkdir(parents=True)
    with pytest.warns(UserWarning, match=r"step 5: .*No space left on device.*goes on"):
        assert train(out, 10, "checkpoint/checkpoint.json")[0] == 0
    assert index(out)["step"] == 10
    assert sorted(contents(out / "checkpoint")) == [
        "arrays-00000010.safetensors",
        "checkpoint.json",
    ]
    expected, found = (read_arrays(folder / "model.safetensors") for folder in (whole, out))
    assert found.keys() == expected.keys()
    assert all(found[name].tobytes() == a.tobytes() for name, a in expected.items())


def test_train_says_in_one_line_that_the_result_could_not_be_saved(tmp_path, train):
    out = tmp_path / "run"
    assert train(out, 5)[0] == 0
    tokenizer = (out / "char_tokenizer.json").read_bytes()
    status, line = train(out, 10, "char_tokenizer.json", "--resume")
    assert status == 1
    assert line.startswith("minillm train: error: ")
    assert f"cannot write {out / 'char_tokenizer.json'}: No space left on device" in line
    assert "the file that was there is untouched" in line
    assert index(out)["step"] == 10
    assert (out / "char_tokenizer.json").read_bytes() == tokenizer
