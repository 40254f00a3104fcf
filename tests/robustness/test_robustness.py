"""Short versions of what the scripts beside this file do at length."""

import signal

import pytest

from .damage import KINDS
from .model_files import damage_and_load, write_models
from .texts import failures_of


@pytest.mark.filterwarnings("ignore:.*lacks weights.*")
@pytest.mark.parametrize("seed", [11, 12])
def test_damaged_model_files_are_an_error_never_a_crash(tmp_path, seed):
    write_models(tmp_path)
    outcomes, failures = damage_and_load(tmp_path, 60, seed)
    assert not failures
    assert outcomes["ValueError"] > 20


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_damage_changes_a_file(kind):
    import random

    whole = bytes(range(48, 58)) * 20
    assert sum(kind(whole, random.Random(seed)) != whole for seed in range(20)) > 15


def test_strange_texts_come_back_whole():
    assert failures_of(150, seed=3) == []


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs kill -9")
def test_a_training_survives_two_kills(tmp_path):
    from .kills import train_with_kills

    assert train_with_kills(tmp_path, 2, seed=5) >= 1
