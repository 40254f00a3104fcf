"""python -m minillm info: what is installed, and what this machine can do."""

import argparse
import importlib.metadata
import os
import platform
import sys

import numpy as np

from ..backend import INSTALL_LINE, Device
from ..gradcheck.cases import operation_names
from ..version import __version__

SUMMARY = "Show versions, processor, linear algebra library and devices."
EXAMPLE = "python -m minillm info"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """No arguments."""


def run(arguments: argparse.Namespace) -> int:
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
    return 0


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
