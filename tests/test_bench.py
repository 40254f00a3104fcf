"""The harness of make bench: ratios, verdicts, tables, slopes, recorded products, equal models."""

import json
import math
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

FOLDER = Path(__file__).parent / "benchmarks"
sys.path.append(str(FOLDER))  # its scripts import each other by their plain names

import bench_models  # noqa: E402
import bench_products  # noqa: E402
import bench_tables  # noqa: E402
import bench_weights  # noqa: E402
import curves  # noqa: E402
import run  # noqa: E402
import timing  # noqa: E402
import with_minillm  # noqa: E402
from bench_workloads import PEERS, WORKLOADS  # noqa: E402


def result(ms, mb=100.0, **more):
    return {"ms": ms, "rss_mb": mb, "check": [1.0, 0.5], "versions": "x 1", **more}


def record(workload, **peers):
    """One round for each figure: record("gpt", minillm=[1, 2], torch=[(3, 50 MB), ...])."""
    rounds = [{} for _ in next(iter(peers.values()))]
    for peer, figures in peers.items():
        for one, figure in zip(rounds, figures, strict=True):
            one[peer] = figure if isinstance(figure, dict) else result(figure)
    return {
        "workload": workload, "rounds": rounds, "difference": dict.fromkeys(peers, 0.0),
        "left_out": {}, "machine": "a machine", "date": "1 January 2026",
    }  # fmt: skip


# ---- arithmetic ----------------------------------------------------------------------------------


def test_a_ratio_is_taken_within_a_round_and_the_median_over_rounds():
    rounds = record("gpt", minillm=[10, 20, 90], torch=[20, 10, 100])["rounds"]
    assert bench_tables.ratios(rounds, "torch") == [0.5, 2.0, 0.9]
    assert bench_tables.median(rounds, "torch", "ms") == 20
    del rounds[1]["torch"]
    assert bench_tables.ratios(rounds, "torch") == [0.5, 0.9]
    assert bench_tables.ratios(rounds, "jax") == []
    assert bench_tables.median(rounds, "jax", "ms") is None


def test_targets_are_met_up_to_their_limit():
    good = record("gpt", minillm=[result(10, 90)], torch=[result(10, 90)], mygrad=[result(30)])
    assert [met for _, _, met in bench_tables.verdicts(good)] == [True, True, True]
    bad = record("gpt", minillm=[result(10, 90)], torch=[result(9.9, 89)], mygrad=[result(29.9)])
    assert [met for _, _, met in bench_tables.verdicts(bad)] == [False, False, False]


@pytest.mark.parametrize(("bandwidth", "met"), [(7.5, True), (7.4, False)])
def test_decoding_is_judged_by_its_share_of_the_bandwidth(bandwidth, met):
    found = bench_tables.verdicts(record("decode", minillm=[result(10, bandwidth_ms=bandwidth)]))
    assert found == [("at least 75% of the speed of memory", f"{10 * bandwidth:.0f}%", met)]


def test_the_engine_is_judged_by_its_time():
    for ms, met in [(0.003, True), (0.0031, False)]:
        assert bench_tables.verdicts(record("engine", minillm=[result(ms)]))[0][2] is met


def test_checks_of_other_checkers_are_not_raced():
    found = bench_tables.verdicts(record("gradcheck", minillm=[10.0], autograd=[1.0]))
    assert found == []


def test_durations_have_the_unit_that_suits_them():
    found = [bench_tables.duration(ms) for ms in (0.0042, 7.891, 36.44, 312.4, 12_345.0, None)]
    assert found == ["4.2 µs", "7.89 ms", "36.4 ms", "312 ms", "12.3 s", "–"]


def test_differences_are_relative_to_the_largest_figure():
    assert bench_tables.difference([4.0, 2.0], [4.0, 2.004]) == pytest.approx(0.001)
    assert bench_tables.difference([4.0, 2.0, 1.0], [4.0, 2.0]) == 0  # fewer steps were enough


@pytest.mark.parametrize("power", [0.5, 1, 2, 3])
def test_the_slope_of_a_power_law_is_its_exponent(power):
    x = np.array([2, 4, 8, 16, 32])
    assert curves.slope(x, 0.3 * x**power) == pytest.approx(power, abs=1e-12)


def test_the_slope_is_that_of_the_far_end():
    x = np.array([1, 2, 4, 8, 16, 32])
    y = np.where(x < 8, 7.0, x**2.0)
    assert curves.slope(x, y) == pytest.approx(2, abs=1e-12)


def test_memory_of_a_curve_is_counted_from_a_tiny_step():
    points = [[{"ms": 9, "rss_mb": 50}], [{"ms": 1, "rss_mb": 50}], [{"ms": 2, "rss_mb": 75}]]
    assert curves.medians(points) == {"ms": [1, 2], "mb": [curves.LEAST_MB, 25]}


def test_curves_change_sizes_that_a_gpt_has():
    for name, curve in curves.CURVES.items():
        assert name in curves.NANOGPT
        assert set(curve.fixed) < set(curves.NANOGPT) - {name}
        assert len(curve.values) >= curves.FAR


# ---- processes -----------------------------------------------------------------------------------


def test_pythons_are_named_or_tried_for_everybody():
    assert run.parse_pythons(["jax=/a/python", "/b/python"]) == (
        {"jax": "/a/python"},
        ["/b/python"],
    )
    with pytest.raises(ValueError, match="no peer 'jaxx': choose from torch, jax"):
        run.parse_pythons(["jaxx=/a/python"])


def test_a_peer_that_is_missing_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(PEERS, "jax", run.PEERS["jax"].__class__("JAX", "no_such_module_here"))
    with pytest.raises(run.LeftOut, match=r"not installed; .* pip install -e '\.\[bench\]'"):
        run.find_python("jax", {}, [])


def test_a_peer_that_cannot_work_says_what_it_needs(monkeypatch):
    broken = run.PEERS["jax"].__class__("JAX", "json", "1 / 0", "it needs a compiler")
    monkeypatch.setitem(PEERS, "jax", broken)
    with pytest.raises(run.LeftOut, match="it needs a compiler"):
        run.find_python("jax", {}, [])


def test_everybody_is_first_once():
    peers = ["minillm", "torch", "jax"]
    rounds = [run.order(peers, number) for number in range(3)]
    assert [one[0] for one in rounds] == peers
    assert all(sorted(one) == sorted(peers) for one in rounds)


@pytest.mark.parametrize(
    ("script", "limit", "message"),
    [
        ("import sys; print('why', file=sys.stderr); sys.exit(3)", None, "it failed: why"),
        ("import time; time.sleep(60)", 0.2, "one process took longer than 0 s"),
    ],
)
def test_a_peer_that_fails_or_takes_too_long_is_left_out(
    script, limit, message, tmp_path, monkeypatch
):
    (tmp_path / "with_torch.py").write_text(script, encoding="utf-8")
    monkeypatch.setattr(run, "FOLDER", tmp_path)
    with pytest.raises(run.LeftOut, match=message):
        run.call(sys.executable, "torch", "gpt", [], limit)


HELPER = (
    "import time, pathlib\nwhile True: pathlib.Path({!r}).open('a').write('x'); time.sleep(0.02)"
)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no groups of processes")
def test_what_a_peer_has_started_ends_with_it(tmp_path, monkeypatch):
    beats = tmp_path / "beats"
    helper = HELPER.format(str(beats))
    script = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {helper!r}])"
    (tmp_path / "with_torch.py").write_text(script, encoding="utf-8")
    monkeypatch.setattr(run, "FOLDER", tmp_path)
    with pytest.raises(run.LeftOut, match="longer than 1 s"):
        run.call(sys.executable, "torch", "gpt", [], 1.0)
    before = beats.read_text(encoding="utf-8") if beats.exists() else ""
    time.sleep(0.3)
    assert before == (beats.read_text(encoding="utf-8") if beats.exists() else "")


def test_a_peer_that_fails_later_is_left_out_of_all_rounds(monkeypatch):
    calls = []

    def call(python, peer, workload, options, limit):
        calls.append((peer, options))
        if peer == "torch" and len(calls) > 2:
            raise run.LeftOut("gone")
        return result(1.0)

    monkeypatch.setattr(run, "call", call)
    options = {"all": ["--text", "t"], "minillm": ["--products", "p"]}
    rounds, left_out = run.measure("gpt", {"minillm": "a", "torch": "b"}, 3, options, 1.0)
    assert left_out == {"torch": "gone"}
    assert [list(one) for one in rounds] == [["minillm"]] * 3
    assert calls[0] == ("minillm", ["--products", "p"])
    assert calls[1] == ("torch", ["--text", "t"])
    assert [peer for peer, _ in calls].count("torch") == 2  # not tried again


def test_other_losses_end_the_comparison():
    [found] = record("gpt", minillm=[1.0], torch=[1.0])["rounds"]
    assert run.differences("gpt", found) == {"minillm": 0, "torch": 0}
    found["torch"]["check"] = [1.0, 0.502]
    with pytest.raises(SystemExit, match="losses of the first steps of torch"):
        run.differences("gpt", found)


def test_losses_are_compared_after_the_first_round(monkeypatch):
    calls = []

    def call(python, peer, workload, options, limit):
        calls.append(peer)
        return {**result(1.0), "check": [float(len(calls))]}

    monkeypatch.setattr(run, "call", call)
    with pytest.raises(SystemExit, match="do not do the same work"):
        run.measure("gpt", {"minillm": "a", "torch": "b"}, 5, {"all": [], "minillm": []}, 1.0)
    assert calls == ["minillm", "torch"]


def test_a_model_that_does_not_learn_is_not_timed():
    with pytest.raises(SystemExit, match="does not learn"):
        timing.training(lambda: 1.0, SimpleNamespace(repeats=1))


def test_the_text_is_as_long_as_asked_for_and_plain(tmp_path):
    data = run.write_text(tmp_path / "text.txt", 700_001).read_bytes()
    assert len(data) == 700_001
    assert data.isascii()
    assert b"\n\n" in data


def test_every_peer_of_a_workload_has_a_script():
    for workload in WORKLOADS.values():
        for peer in workload.peers:
            assert (FOLDER / f"with_{peer}.py").exists()


# ---- tables --------------------------------------------------------------------------------------


def whole_record():
    found = record(
        "gpt",
        minillm=[result(10, 80, products_ms=5.0, workers=2)] * 2,
        torch=[result(20, 160)] * 2,
        jax=[result(25, 300)] * 2,
        mygrad=[result(20, 300)] * 2,
    )
    found["left_out"] = {"tinygrad": "tinygrad compiles with clang, " + "which is not there " * 6}
    return found


def test_a_terminal_of_88_columns_shows_everything():
    lines = bench_tables.terminal(whole_record()).splitlines()
    assert max(map(len, lines)) <= 88
    text = "\n".join(lines)
    assert "minillm, 2 workers     10 ms" in text
    assert "PyTorch eager          20 ms  0.50 (0.50 … 0.50)" in text
    assert "matrix products alone: 5 ms, minillm takes 2.00×" in text
    assert "met     at most 1.00 of PyTorch's time: 0.50" in text
    assert "MISSED  at least 3 times as fast as MyGrad: 2.0" in text
    assert "tinygrad, jitted left out: tinygrad compiles with clang" in text


@pytest.mark.parametrize("name", WORKLOADS)
def test_every_workload_fits_a_terminal(name):
    ours = result(12_345.0, 1234.0, products_ms=1e3, bandwidth_ms=9e3, matrices_ms=1e4)
    others = {peer: [result(1e-3, 4321.0)] for peer in WORKLOADS[name].peers}
    lines = bench_tables.terminal(record(name, minillm=[ours], **others)).splitlines()
    assert max(map(len, lines)) <= 88
    assert lines[0].startswith(f"{name}: ")


def test_markdown_has_a_row_for_each_workload_and_a_column_for_each_peer():
    other = record("engine", minillm=[0.002, 0.002, 0.004], torch=[0.004] * 3)
    text = bench_tables.markdown([whole_record(), other])
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    cells = [cell.strip() for cell in rows[0].split("|")[1:-1]]
    assert cells[1:4] == ["10 ms, 2 workers", "20 ms", "0.50 (0.50 … 0.50)"]
    assert cells[4] == "matrix products alone 5 ms: minillm takes 2.00×"
    assert cells[5] == "80 / 160"
    assert "| `gpt` | at least 3 times as fast as MyGrad | **2.0, missed** |" in text
    assert "| `gpt` | at most 1.00 of PyTorch's time | 0.50 |" in text
    rows = [row for row in rows if not row.partition(" | ")[2].startswith("at ")]
    assert rows[1].split("|")[2:5] == [" 2 µs ", " 4 µs ", " 0.50 (0.50 … 1.00) "]
    assert "| workload | JAX, jitted | MyGrad |" in text
    assert rows[2] == "| `gpt` | 25 ms (2.5×), 300 | 20 ms (2×), 300 |"
    assert len(rows) == 3  # nobody else ran the engine
    assert "Rounds: 2 to 3; 1 January 2026" in text
    assert "- tinygrad, jitted is left out of `gpt`: tinygrad compiles with clang" in text


def test_tables_go_between_the_marks():
    begin, end = bench_tables.BEGIN, bench_tables.END
    page = f"above\n{begin}\n\nold\n\n{end}\nbelow\n"
    assert bench_tables.put_between_marks(page, "new") == (
        f"above\n{begin}\n\nnew\n\n{end}\nbelow\n"
    )
    for broken in ("nothing", f"{end}\n{begin}", page + begin, page + end, begin, end):
        with pytest.raises(ValueError, match="must hold these lines once each"):
            bench_tables.put_between_marks(broken, "new")


def test_the_page_has_the_marks():
    page = run.PAGE.read_text(encoding="utf-8")
    for marks in ((bench_tables.BEGIN, bench_tables.END), (curves.BEGIN, curves.END)):
        assert "new" in bench_tables.put_between_marks(page, "new", marks)


def test_a_curve_has_a_picture_with_words_for_it():
    found = {
        peer: {"ms": [x**2.0 for x in curves.CURVES["width"].values], "mb": [1, 2, 4, 8, 16]}
        for peer in ("minillm", "torch")
    }
    figure = curves.draw("width", found)
    assert [axes.get_ylabel() for axes in figure.axes] == ["time of a step (ms)", "memory (MB)"]
    assert figure.axes[0].get_legend().get_texts()[0].get_text() == "minillm, slope 2.00"
    text = curves.section([{"curve": "width", "found": found, "rounds": 3, "machine": "m"}])
    assert "![Two panels with logarithmic axes" in text
    assert "(images/bench-width.png)" in text
    assert "Slope of memory: minillm 1.00, PyTorch 1.00; the formula's: **2**" in text


# ---- products ------------------------------------------------------------------------------------

TWO_LAYERS = """
import sys
sys.path.insert(0, {folder!r})
import bench_products
bench_products.watch_imports()
import json
import numpy as np
from minillm import functional as F, nn
net = nn.Sequential(nn.Linear(3, 7), nn.Linear(7, 2))
x, y = np.ones((5, 3), np.float32), np.array([0, 1, 0, 1, 1])
with bench_products.recording() as heard:
    F.cross_entropy(net(x), y).backward()
    np.matmul(np.ones((2, 11)), np.ones((11, 2)), out=np.empty((2, 2)))
after = len(heard)
np.matmul(x.T, x)
net(x)
assert len(heard) == after, "what follows is not recorded"
rows = [[count, *pair] for pair, count in heard.items()]
print(json.dumps([rows, bench_products.flop(heard)]))
"""


def test_the_products_of_two_layers_are_those_counted_by_hand():
    command = [sys.executable, "-c", TWO_LAYERS.format(folder=str(FOLDER))]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    rows, flop = json.loads(done.stdout)
    plain, turned = [0, 1], [1, 0]
    by_hand = [
        [1, [[5, 3], plain], [[3, 7], plain]],  # x W1
        [1, [[5, 7], plain], [[7, 2], plain]],  # h W2
        [1, [[5, 2], plain], [[2, 7], turned]],  # grad_h = g W2^T; nobody asks for grad_x
        [1, [[7, 5], turned], [[5, 2], plain]],  # grad_W2 = h^T g
        [1, [[3, 5], turned], [[5, 7], plain]],  # grad_W1 = x^T grad_h
        [1, [[2, 11], plain], [[11, 2], plain]],  # by np.matmul, with out=
    ]
    assert sorted(rows) == sorted(by_hand)
    assert flop == 2 * (5 * 3 * 7 + 5 * 7 * 2 + 5 * 2 * 7 + 7 * 5 * 2 + 3 * 5 * 7 + 2 * 11 * 2)


def test_watching_must_begin_before_minillm():
    with pytest.raises(RuntimeError, match="imported already"):
        bench_products.watch_imports()


@pytest.mark.parametrize(
    ("shape", "order"), [((3, 5), (0, 1)), ((3, 5), (1, 0)), ((2, 3, 5, 7), (1, 3, 0, 2))]
)
def test_arrays_are_made_anew_as_they_lay_in_memory(shape, order):
    made = bench_products._array(shape, order)
    assert bench_products._layout(made) == (shape, order)
    assert made.dtype == np.float32


def test_products_in_a_file_are_timed_as_often_as_they_occur(tmp_path, monkeypatch):
    heard = {(((3, 5), (0, 1)), ((5, 2), (1, 0))): 4, (((2, 2), (0, 1)), ((2, 2), (0, 1))): 3}
    bench_products.save(heard, tmp_path / "products.json")
    monkeypatch.setattr(
        bench_products, "median_ms", lambda call, *_, **__: float(np.prod(call().shape))
    )
    assert bench_products.alone_ms(tmp_path / "products.json") == 4 * 3 * 2 + 3 * 2 * 2


# ---- models --------------------------------------------------------------------------------------


class Literal(bench_models.Language):
    """NumPy with an erf."""

    def erf(self, x):
        return np.vectorize(math.erf)(x).astype(x.dtype)


SMALL = {
    "gpt": {"vocab": 11, "context": 5, "batch": 3, "layers": 2, "heads": 2, "width": 6},
    "lstm": {"vocab": 11, "context": 5, "batch": 3, "width": 4, "hidden": 6},
    "encoder": {
        "vocab": 11, "context": 5, "batch": 3, "layers": 2, "heads": 2, "width": 6, "inner": 7,
    },
    "bert": {
        "vocab": 11, "context": 5, "batch": 3, "layers": 2, "heads": 2, "width": 6, "inner": 7,
        "positions": 8,
    },
}  # fmt: skip


@pytest.mark.parametrize("name", SMALL)
def test_the_literal_models_have_minillm_s_losses(name, monkeypatch):
    strong = lambda rng, *shape, std=None: rng.normal(0, 0.5, shape).astype(np.float32)  # noqa: E731
    monkeypatch.setattr(bench_weights, "draw", strong)  # so that every part of the model matters
    sizes = {**WORKLOADS[name].sizes, **SMALL[name], "lr": 0.01}
    job = SimpleNamespace(workload=name, sizes=sizes, repeats=1, record=None, products=None)
    result = getattr(with_minillm, name)(job)
    found = json.loads(json.dumps(result))["check"]  # it travels as a line of JSON
    weights, x, y = getattr(bench_weights, name)(sizes)
    constants = bench_models.constant_arrays(sizes)
    loss = bench_models.LOSSES[name](Literal(), weights, x, y, sizes, constants)
    assert loss == pytest.approx(found[0], rel=1e-5)
    weights_2, x, y = getattr(bench_weights, name)(sizes, seed=1)
    other = bench_models.LOSSES[name](Literal(), weights_2, x, y, sizes, constants)
    assert other != pytest.approx(found[0], rel=1e-4)  # the loss does depend on the weights


def test_adam_by_hand_decays_matrices_and_clips():
    s = {"lr": 0.1, "betas": (0.9, 0.99), "decay": 0.5, "decay_vectors": False, "clip": 1.0}
    weights = {"matrix": np.full((1, 1), 2.0), "vector": np.full(1, 2.0)}
    adam = bench_models.NumpyAdam(weights, s)
    adam.step(weights, {"matrix": np.full((1, 1), 3.0), "vector": np.full(1, -4.0)})
    # the first step of Adam is lr against the sign of the gradient, whatever its size
    np.testing.assert_allclose(weights["matrix"], 2.0 * (1 - 0.1 * 0.5) - 0.1, rtol=1e-6)
    np.testing.assert_allclose(weights["vector"], 2.0 + 0.1, rtol=1e-6)
    np.testing.assert_allclose(adam.m["vector"], 0.1 * -4 / 5, rtol=1e-5)  # the norm is 5
    np.testing.assert_allclose(adam.v["matrix"], 0.01 * (3 / 5) ** 2, rtol=1e-5)
