"""The command line: python -m minillm demo | train | generate | gradcheck | info."""

from .main import main

__all__ = ["main"]
