"""Sums, the same start, and the end of a job, in real MPI jobs of several processes."""

import subprocess
import sys
import time

import numpy as np
import pytest

from minillm import nn
from minillm.cluster import Ranks, find_mpiexec
from minillm.cluster.launch import announced_size, started_by_mpi

from .jobs import DTYPES, SHAPES, Noisy, gradients
from .launching import JOBS, arrays_of, command, environment, launch


def expected_sums(ranks):
    """The literal sum of what each rank had; None where no rank had anything."""
    sums = [None] * len(SHAPES)
    for rank in range(ranks):
        for i, grad in enumerate(gradients(rank)):
            if grad is not None:
                sums[i] = grad.astype(np.float64) + (0 if sums[i] is None else sums[i])
    return sums


# ------------------------------------------------------------------------------------- sums


@pytest.mark.parametrize("ranks", [1, 2, 3, 4])
def test_gradients_are_summed_over_all_ranks(ranks, tmp_path):
    found = arrays_of(ranks, "sums", tmp_path)
    for again in range(3):
        for i, sums in enumerate(expected_sums(ranks)):
            name = f"grad{i}.{again}"
            if sums is None:
                assert all(name not in one for one in found)
                continue
            for one in found:
                assert one[name].dtype == DTYPES[i]
                assert one[name].shape == SHAPES[i]
                scale = np.abs(sums).max()
                np.testing.assert_allclose(one[name], sums, rtol=0, atol=4e-7 * scale)
    assert all(f"grad{len(SHAPES)}.0" not in one for one in found)  # the frozen one


@pytest.mark.parametrize("ranks", [2, 3, 4])
def test_sums_have_the_same_bits_on_every_rank_and_in_every_run(ranks, tmp_path):
    found = [one for run in range(2) for one in arrays_of(ranks, "sums", tmp_path)]
    for one in found[1:]:
        assert set(one) == set(found[0])
        for name, array in found[0].items():
            assert one[name].tobytes() == array.tobytes(), name


def test_numbers_are_summed_in_float64(tmp_path):
    found = arrays_of(3, "sums", tmp_path)
    draws = [np.random.default_rng(rank).standard_normal(5) for rank in range(3)]
    assert found[0]["numbers"].dtype == np.float64
    np.testing.assert_allclose(found[0]["numbers"], draws[0] + draws[1] + draws[2], rtol=1e-14)
    assert found[2]["matrix"].tolist() == [[3.0, 3.0]]


def test_device_arrays_are_staged_through_the_host(tmp_path):
    found = arrays_of(2, "strict", tmp_path)
    weight = nn.Linear(3, 2, rng=np.random.default_rng(0)).weight.data
    for one in found:
        assert one["weight"].tobytes() == weight.tobytes()
        for i, sums in enumerate(expected_sums(2)):
            if sums is not None:
                scale = np.abs(sums).max()
                np.testing.assert_allclose(one[f"grad{i}"], sums, rtol=0, atol=4e-7 * scale)


def test_gradients_that_mpi_cannot_add_are_refused(tmp_path):
    done = launch(2, "half_precision", tmp_path)
    assert done.returncode != 0
    assert "gradients must be float32 or float64, found float16" in done.stderr


# -------------------------------------------------------------------------------- the start


@pytest.mark.parametrize("ranks", [2, 3])
def test_share_gives_every_rank_the_parameters_and_generators_of_the_first(ranks, tmp_path):
    found = arrays_of(ranks, "share", tmp_path)
    names = list(Noisy(0).state_dict())
    assert any(found[1][name].tobytes() != found[0][name].tobytes() for name in names)
    for one in found:
        for name, array in Noisy(0).state_dict().items():
            assert one[f"after.{name}"].tobytes() == array.tobytes(), name
        assert one["other"] == nn.Linear(1, 1, rng=np.random.default_rng(50)).weight.data
    default, own, extra = found[1]["draws"]
    reference = np.random.default_rng(0)
    reference.random(3)
    assert default == reference.random()
    assert own == np.random.default_rng(100).random()
    assert extra == np.random.default_rng(9).random()


def test_share_refuses_another_model(tmp_path):
    done = launch(2, "share_other_models", tmp_path)
    assert done.returncode != 0
    assert "the model of rank 1 is not that of rank 0" in done.stderr
    assert "the first difference is at weight" in done.stderr


def test_nobody_passes_a_barrier_before_the_last_one_arrives(tmp_path):
    done = launch(3, "waiting", tmp_path)
    assert done.returncode == 0, done.stderr
    assert [(tmp_path / f"{rank}.json").read_text() for rank in range(3)] == ["true"] * 3


# ---------------------------------------------------------------------------------- the end


@pytest.mark.parametrize("module", [True, False], ids=["-m mpi4py", "plain"])
def test_a_rank_that_raises_ends_the_job(module, tmp_path):
    started = time.monotonic()
    done = launch(3, "raising", tmp_path, module=module)
    assert time.monotonic() - started < 30  # it would wait for ever
    assert done.returncode != 0
    assert "rank 2 of 3 ends the job" in done.stderr
    assert "ArithmeticError: a wrong number on purpose" in done.stderr


def test_what_all_ranks_raise_is_printed_once(tmp_path):
    assert launch(3, "half_precision", tmp_path).stderr.count("TypeError:") == 1


@pytest.mark.parametrize("module", [True, False], ids=["-m mpi4py", "plain"])
def test_a_rank_that_exits_inside_the_block_ends_the_job_with_its_status(module, tmp_path):
    assert launch(3, "leaving", tmp_path, module=module).returncode == 7


# ------------------------------------------------------------------------- without mpiexec


def test_alone_a_rank_is_a_job_of_one_that_never_loads_mpi():
    code = (
        "import sys; from minillm.cluster import Ranks; r = Ranks(); r.barrier();"
        "print(r, r.first, r.sum([1.5]), sorted({'mpi4py'} & set(sys.modules)))"
    )
    names = dict.fromkeys(("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "PMIX_RANK"))
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        encoding="utf-8",
        env=environment(**names),
    )
    assert done.stdout == "Ranks(rank=0, size=1) True [1.5] []\n", done.stderr


def test_alone_gradients_and_models_stay_as_they_are():
    model = nn.Linear(2, 1, rng=np.random.default_rng(0))
    before = model.weight.data.copy()
    model.weight.grad = np.ones_like(before)
    with Ranks() as ranks:
        ranks.sum_gradients(model.parameters())
        ranks.share(model)
    assert (model.weight.grad == 1).all()
    assert (model.bias.grad, model.weight.data.tolist()) == (None, before.tolist())


def test_alone_an_error_inside_the_block_is_an_ordinary_error():
    with pytest.raises(ZeroDivisionError), Ranks():
        raise ZeroDivisionError


@pytest.mark.parametrize(
    ("variables", "several"),
    [
        ({}, False),
        ({"PMI_SIZE": "1", "PMI_RANK": "0"}, False),
        ({"PMI_SIZE": "3", "PMI_RANK": "0"}, True),
        ({"OMPI_COMM_WORLD_SIZE": "2", "PMIX_RANK": "0"}, True),
        ({"OMPI_COMM_WORLD_SIZE": "1", "PMIX_RANK": "0"}, False),
        ({"PMIX_RANK": "0"}, True),
        (
            {"SLURM_NTASKS": "8", "SLURM_PROCID": "0"},
            False,
        ),  # a script in a batch job, without srun
        ({"SLURM_NTASKS": "8", "SLURM_STEP_NUM_TASKS": "8"}, True),
        ({"SLURM_STEP_NUM_TASKS": "1", "PMIX_RANK": "0"}, False),
        ({"PMI_SIZE": "many"}, False),
    ],
)
def test_a_process_knows_from_its_environment_whether_it_has_company(variables, several):
    assert started_by_mpi(variables) is several


def test_the_largest_announced_size_counts():
    assert announced_size({"PMI_SIZE": "1", "SLURM_STEP_NUM_TASKS": "4"}) == 4


def test_without_mpi4py_one_line_says_what_to_install(tmp_path):
    code = (
        "import sys; sys.modules['mpi4py'] = None\n"
        "from minillm.cluster import Ranks\n"
        "try: Ranks()\n"
        "except RuntimeError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        encoding="utf-8",
        env=environment(PMI_SIZE="2"),
    )
    assert "which needs mpi4py" in done.stdout, done.stderr
    assert "pip install 'minillm[mpi]'" in done.stdout
    assert done.stdout.count("\n") == 1


def test_an_mpiexec_of_another_mpi_library_is_noticed(tmp_path):
    command(1)  # skips where there is no mpi4py
    done = subprocess.run(
        [sys.executable, JOBS, "mismatched", tmp_path], capture_output=True, encoding="utf-8",
        env=environment(OMPI_COMM_WORLD_SIZE="4"),
    )  # fmt: skip
    assert done.returncode != 0
    assert "mpiexec started 4 processes, but each of them is alone" in done.stderr


def test_without_mpiexec_one_line_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(RuntimeError, match="nor on PATH: python -m pip install") as caught:
        find_mpiexec()
    assert "minillm[mpi]" in str(caught.value)


def test_mpiexec_beside_this_python_comes_first(monkeypatch, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    name = "mpiexec.exe" if sys.platform == "win32" else "mpiexec"
    for folder in (tmp_path, tmp_path / "elsewhere"):
        (folder / name).touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "elsewhere"))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    assert find_mpiexec() == str(tmp_path / name)
