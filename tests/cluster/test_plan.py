"""python -m minillm.cluster.plan on a tiny model: what it measures, prints and draws."""

import re
import subprocess
import sys

import pytest

from minillm.cluster import Ranks, plan
from minillm.models import GPT2Config, GPT2LMHeadModel

from .launching import SECONDS, environment, mpiexec

SMALL = "--layers 1 --heads 1 --width 8 --block-size 8 --batch 3 --steps 2 --rounds 1 --shared 64"


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    """(what it printed, its picture)."""
    mpiexec()
    picture = tmp_path_factory.mktemp("plan") / "pictures" / "cluster.png"
    words = [*SMALL.split(), "--latency", "0.25", "--bandwidth", "1e9", "--picture", str(picture)]
    done = subprocess.run(
        [sys.executable, "-m", "minillm.cluster.plan", *words],
        capture_output=True, encoding="utf-8", timeout=SECONDS, env=environment(),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout, picture


def test_it_says_what_was_measured_and_what_was_predicted(planned):
    text, _ = planned
    assert "GPT: 1 layers, 1 heads, width 8, batch 3 x 8" in text
    assert "while 2 ranks compute" in text
    found = re.search(r"a step of 2 ranks: predicted ([\d.]+) ms, measured ([\d.]+) ms", text)
    assert found
    assert all(float(number) > 0 for number in found.groups())
    assert max(map(len, text.splitlines()[:-1])) <= 88


def test_the_tables_follow_the_formula(planned):
    tables = planned[0].split("the given network, one batch is shared")[1]
    rows = [line.split() for line in tables.splitlines() if line.strip()[:1].isdigit()]
    assert [row[0] for row in rows] == ["1", "2", "8", "64", "512"]
    for ranks, batch, compute, _, total, _, step, *_ in rows:
        n = int(ranks)
        assert batch == "64"
        # 2 messages: which ranks have gradients, and all small gradients together; few bytes
        assert float(total) == pytest.approx(2 * (n - 1) * 2 * 250, abs=1)
        assert float(step) == pytest.approx(float(compute) + float(total), abs=0.2)


def test_it_draws_a_picture(planned):
    text, picture = planned
    assert picture.read_bytes()[:4] == b"\x89PNG"
    assert f"picture: {picture}" in text


def test_gradients_are_counted_as_they_travel():
    options = plan.parse("--layers 2 --heads 2 --width 256 --block-size 16".split())
    config = GPT2Config(vocab_size=65, n_positions=16, n_embd=256, n_layer=2, n_head=2, bias=False)
    size, messages = plan.gradients_of(options)
    assert size == 4 * GPT2LMHeadModel(config).num_parameters()
    # In each layer two matrices of 4 * 256 * 256 = 2^18 entries travel alone.  The others fill groups
    # of at most 2^18: wte, wpe, norm, c_attn | c_proj, 2 norms | c_attn, c_proj | 2 norms.  And flags.
    assert messages == 2 * 2 + 4 + 1


def test_a_job_of_one_measures_computing_alone():
    options = plan.parse([*SMALL.split(), "--batch", "5"])
    found = plan.Job(options, Ranks()).measure()
    assert sorted(found["compute"]) == [1, 2, 5]
    assert "step" not in found


def test_a_launcher_that_fails_is_named():
    with pytest.raises(RuntimeError, match="failed:") as caught:
        plan.run_job([sys.executable, "-c", "import sys; sys.exit('no such host')"], [])
    assert "no such host" in str(caught.value)


def test_help_shows_an_example_and_every_default(capsys):
    with pytest.raises(SystemExit):
        plan.parse(["--help"])
    text = capsys.readouterr().out
    assert "example: python -m minillm.cluster.plan" in text
    for option, value in vars(plan.parse([])).items():
        if value not in (None, False):
            assert f"--{option.replace('_', '-')}" in text
    assert text.count("(default: ") == len(vars(plan.parse([]))) - 1  # --job is not for readers
