"""A progress bar for work that takes longer than a moment, and only where somebody can see it."""

from typing import Any

from tqdm import tqdm


def progress_bar(total: int | None, title: str, progress: bool) -> Any:
    """A tqdm bar that shows itself on a terminal, after a second of work, and leaves no trace."""
    return tqdm(
        total=total,
        desc=title,
        disable=None if progress else True,  # None: only on a terminal
        delay=1.0,
        leave=False,
        dynamic_ncols=True,
    )
