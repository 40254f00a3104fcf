"""python -m minillm info: what is installed, and what this machine can do; or what a model costs."""

import argparse
import importlib.metadata
import os
import platform
import sys

import numpy as np

from ..backend import INSTALL_LINE, Device
from ..gradcheck.cases import operation_names
from ..version import __version__
from . import model_info, options

SUMMARY = "Show versions, processor and devices; or what training a model costs."
EXAMPLE = "python -m minillm info --config nanogpt-cpu --measure"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    cost = parser.add_argument_group(
        "cost of a model",
        "FLOP and memory of a configuration, part by part. Known names: "
        + ", ".join(model_info.PRESETS),
    )
    cost.add_argument(
        "--config",
        metavar="NAME|FILE",
        help="one of these names, a config.json, or a folder with one",
    )
    cost.add_argument("--batch-size", type=int, metavar="N", help="sequences in a batch")
    cost.add_argument("--length", type=int, metavar="N", help="tokens in each sequence")
    cost.add_argument(
        "--measure", action="store_true", help="run real steps with random ids, and compare"
    )


def run(arguments: argparse.Namespace) -> int:
    options.check(arguments)
    if arguments.config is not None:
        model_info.describe(
            arguments.config, arguments.batch_size, arguments.length, arguments.measure
        )
        return 0
    given = {
        "--batch-size": arguments.batch_size is not None,
        "--length": arguments.length is not None,
        "--measure": arguments.measure,
    }
    for option in (name for name, is_given in given.items() if is_given):
        raise ValueError(f"{option} needs --config, the name or the file of a configuration")
    show_installation()
    return 0


def show_installation() -> None:
    """Versions, processor and devices."""
    rows = [
        ("minillm", __version__),
        ("Python", f"{platform.python_version()} at {sys.executable}"),
        ("NumPy", f"{np.__version__}, linear algebra by {_blas()}"),
        ("system", f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors"),
        ("operations", f"{len(operation_names())}, each with a backward pass"),
    ]
    for package in ("safetensors", "tqdm", "regex", "pooch", "matplotlib", "jupyter"):
        rows.append((package, _version(package)))
    rows.append(("device cuda", _cuda()))
    for name, value in rows:
        print(f"{name:12} {value}")


def _blas() -> str:
    config = np.show_config(mode="dicts")
    blas = config.get("Build Dependencies", {}).get("blas", {}) if config else {}
    return f"{blas.get('name', 'unknown')} {blas.get('version', '')}".strip()


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _cuda() -> str:
    try:
        device = Device("cuda")
    except RuntimeError as error:
        return f"not usable: {error}"
    count = device.xp.cuda.runtime.getDeviceCount()
    return f"{count} GPU(s), CuPy {device.xp.__version__} (install line: {INSTALL_LINE})"
