"""Showing a text while it is written."""

import sys
from typing import Any, TextIO

import numpy as np


class TextStreamer:
    """Prints the text of one sequence as its tokens come: generate(..., streamer=this).

    tokenizer     anything with decode(ids) -> str
    file          where to write, the terminal by default
    skip_prompt   leave out the prompt, which comes first

    A token may end in the middle of a character, as in byte-level BPE; the character is then shown
    when its last byte has come.  And what a token looks like may depend on what stands before it, as in
    WordPiece, where only a word inside a text has a space before it; so new tokens are decoded behind
    the last complete ones, and only what is new is shown.  All in all this is decode(all ids).

    >>> from minillm.tokenizers import CharTokenizer
    >>> tokenizer = CharTokenizer.train(["abc"])
    >>> streamer = TextStreamer(tokenizer)
    >>> def write():
    ...     for token in (0, 1, 2):
    ...         streamer.put(np.array([token]))
    ...     streamer.end()
    >>> write()
    abc
    """

    def __init__(
        self, tokenizer: Any, file: TextIO | None = None, *, skip_prompt: bool = False
    ) -> None:
        self.tokenizer, self.file, self.skip_prompt = tokenizer, file, skip_prompt
        self._ids: list[int] = []  # the last complete characters, and what came after them
        self._context = 0  # how many ids of these are the complete ones
        self._shown = 0  # characters of their text that are printed

    def put(self, ids: Any) -> None:
        """The prompt, (1, T), or the new token, (1,)."""
        ids = np.asarray(ids)
        if ids.ndim == 0 or len(ids) != 1:
            raise ValueError(f"TextStreamer: can show one text only, got ids of shape {ids.shape}")
        if ids.ndim > 1 and self.skip_prompt:
            return
        new = ids.reshape(-1).tolist()
        self._ids += new
        text = self.tokenizer.decode(self._ids)
        complete = text.rstrip("\ufffd")  # what bytes without their rest are decoded to
        self._show(complete)
        if complete == text and new:  # older ids change nothing any more
            self._ids = self._ids[self._context :]
            self._context = len(self._ids)
            self._shown = len(self.tokenizer.decode(self._ids))

    def end(self) -> None:
        """The text is complete: show what is left, and end the line."""
        if len(self._ids) > self._context:
            self._show(self.tokenizer.decode(self._ids))
        self._ids, self._context, self._shown = [], 0, 0
        print(file=self.file or sys.stdout, flush=True)

    def _show(self, text: str) -> None:
        print(text[self._shown :], end="", file=self.file or sys.stdout, flush=True)
        self._shown = max(self._shown, len(text))
