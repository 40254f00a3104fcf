"""python -m minillm chat: talk to SmolLM2, or to another Llama that was trained on ChatML.

ChatML is how such a model has seen conversations: each message between two special tokens, after the
role of who says it.  To answer is to continue this text:

    <|im_start|>system
    You are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>
    <|im_start|>user
    What is the capital of France?<|im_end|>
    <|im_start|>assistant

The first message tells the model what it is.  Where nobody gives one, a model was trained on one of its
own, which stands in its chat template: a small program, in Jinja, that writes the text above.  No
program of strangers runs here; the message is looked for among the texts in it.
"""

import argparse
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np

from ..backend import Device
from ..generation import TextStreamer
from ..models import LlamaForCausalLM
from ..models.gguf import GGUFFile
from ..tokenizers import GPT2Tokenizer
from . import model_kinds, options, weights

SUMMARY = "Talk to SmolLM2, a small language model."
EXAMPLE = 'python -m minillm chat --prompt "What is gravity?"'
START, END = "<|im_start|>", "<|im_end|>"
STRING = r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\""  # in Jinja; a tag may end only outside of one
TAG = re.compile(rf"{{#.*?#}}|{{{{(?:{STRING}|[^'\"])*?}}}}|{{%(?:{STRING}|[^'\"])*?%}}", re.DOTALL)
ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model", metavar="FILE", help="a .gguf file or a folder; SmolLM2 if not given"
    )
    parser.add_argument("--prompt", type=options.text, help="answer this and stop")
    parser.add_argument(
        "--system",
        metavar="TEXT",
        type=options.text,
        help="tell the model what it is, such as 'You are a poet'; its template's text if not given",
    )
    parser.add_argument("--tokens", type=int, default=400, help="the longest answer")
    parser.add_argument(
        "--temperature",
        type=float,
        default=0.2,
        help="below 1 keeps to what is likely, above 1 is wilder",
    )
    parser.add_argument(
        "--top-p", type=float, default=0.9, help="share of probability to draw from"
    )
    parser.add_argument("--greedy", action="store_true", help="always the most probable token")
    parser.add_argument("--seed", type=int, default=0, help="same seed, same answers")
    options.add_device(parser)


def chatml(messages: list[dict[str, str]]) -> str:
    """The text that the model continues with its answer.

    Special tokens that somebody types are taken apart, or they would end the message.

    >>> print(chatml([{"role": "user", "content": "Hi<|im_end|>"}]))
    <|im_start|>user
    Hi<| im_end|><|im_end|>
    <|im_start|>assistant
    <BLANKLINE>
    """
    parts = []
    for message in messages:
        content = message["content"].replace("<|im_", "<| im_")
        parts.append(f"{START}{message['role']}\n{content}{END}\n")
    return "".join(parts) + f"{START}assistant\n"


def template_texts(template: str) -> list[str]:
    r"""The texts in a chat template: what stands between its tags, and the strings in them.

    >>> template_texts("{# no #}Hi {{ 'it\\'s ' + name + '\\n' }}")
    ['Hi ', "it's ", '\n']
    """
    texts, end = [], 0
    for tag in TAG.finditer(template):
        texts.append(template[end : tag.start()])
        end = tag.end()
        if not tag[0].startswith("{#"):
            for string in re.findall(STRING, tag[0], re.DOTALL):
                texts.append(re.sub(r"\\(.)", lambda m: ESCAPES.get(m[1], m[1]), string[1:-1]))
    return [text for text in [*texts, template[end:]] if text]


def default_system(template: str | None) -> str | None:
    r"""The system message that a chat template writes where none is given; None if it writes none.

    Raises   ValueError if the template writes something else than ChatML

    >>> default_system("<|im_start|>system\nYou are a poet.<|im_end|>\n{{ messages }}")
    'You are a poet.'
    """
    if template is None:
        return None
    texts = template_texts(template)
    other = [
        text for text in texts if re.search(r"<\|im_start\|>(system|user|assistant)[^\n]", text)
    ]
    if other or not any(START in text for text in texts):
        found = f"has {other[0][:40]!r}" if other else f"has no {START!r}"
        raise ValueError(
            f"chat needs a model that was trained on conversations in ChatML, and the chat template of "
            f"this one {found}: in Python, generate() of the model continues any prompt"
        )
    for text in texts:
        if system := re.search(r"<\|im_start\|>system\n(.*?)<\|im_end\|>", text, re.DOTALL):
            return system[1]
    return None


class Listener:
    """Shows an answer while it is written, and keeps its tokens even if it is interrupted."""

    def __init__(self, tokenizer: Any, end: int) -> None:
        self.ids: list[int] = []
        self.last = end
        self.screen = TextStreamer(tokenizer, skip_prompt=True)

    def put(self, ids: Any) -> None:
        """The prompt (1, T), which is not shown, or a new token (1,)."""
        ids = np.asarray(ids)
        if ids.ndim == 1 and int(ids[0]) != self.last:
            self.ids.append(int(ids[0]))
            self.screen.put(ids)

    def end(self) -> None:
        """The answer is complete."""
        self.screen.end()


class TooLongError(ValueError):
    """A message for which the model has no room."""


class Chat:
    """A conversation: what was said, and who says the next thing.

    Raises   ValueError if the tokenizer does not know the special tokens of ChatML, or if its chat
             template writes something else
    """

    def __init__(self, model: Any, tokenizer: Any, arguments: argparse.Namespace) -> None:
        known = tokenizer.get_vocab()
        if START not in known or END not in known:
            raise ValueError(
                f"chat needs a model that was trained on conversations in ChatML, and this tokenizer "
                f"has no token {START!r}: for other models use python -m minillm generate"
            )
        self.model, self.tokenizer, self.end = model, tokenizer, known[END]
        self.messages: list[dict[str, str]] = []
        system = default_system(tokenizer.chat_template)  # also if replaced: it refuses other forms
        if arguments.system is not None:
            system = arguments.system
        if system is not None:
            self.messages.append({"role": "system", "content": system})
        begins = re.search(r"\{\{-?\s*bos_token\b", tokenizer.chat_template or "")
        self.begin = (tokenizer.bos_token or "") if begins else ""
        self.first = len(self.messages)  # where the conversation begins
        self.rng = np.random.default_rng(arguments.seed)
        # at least half of what the model can see is for what was said before
        self.tokens = min(arguments.tokens, max(1, model.config.max_position_embeddings // 2))
        self.choice = {"do_sample": False} if arguments.greedy else {
            "do_sample": True, "temperature": arguments.temperature, "top_p": arguments.top_p,
            "rng": self.rng,
        }  # fmt: skip

    def answer(self, text: str) -> str:
        """Say something and print the answer; Ctrl-C ends the answer, not the conversation.

        Raises   TooLongError if there is no room for the text; the conversation stays as it was
        """
        said = [*self.messages, {"role": "user", "content": text}]
        self.messages, ids = self.fitting_prompt(said)
        listener = Listener(self.tokenizer, self.end)
        try:
            self.model.generate(
                np.array([ids]), max_new_tokens=self.tokens, eos_token_id=self.end,
                streamer=listener, **self.choice,
            )  # fmt: skip
        except KeyboardInterrupt:
            listener.end()
        answer = self.tokenizer.decode(listener.ids)
        self.messages.append({"role": "assistant", "content": answer})
        return answer

    def fitting_prompt(
        self, messages: list[dict[str, str]]
    ) -> tuple[list[dict[str, str]], list[int]]:
        """A conversation without its oldest messages, where it is too long, and its ids.

        Raises   TooLongError if even the last message alone is too long
        """
        messages = list(messages)
        room = self.model.config.max_position_embeddings - self.tokens
        while len(ids := self.tokenizer.encode(self.begin + chatml(messages))) > room:
            if len(messages) == self.first + 1:  # nothing but the question
                raise TooLongError(
                    f"the prompt has {len(ids)} tokens, but the model can see {room} before an "
                    f"answer of {self.tokens}: shorten it, or ask for a shorter one with --tokens"
                )
            del messages[self.first : self.first + 2]
        return messages, ids


def load(path: Any) -> tuple[Any, Any]:
    """Model and tokenizer of a .gguf file or a folder."""
    model_kinds.check("chat", Path(path), "llama")
    if str(path).endswith(".gguf"):
        file = GGUFFile(path)
        return LlamaForCausalLM.from_pretrained(file), file.tokenizer()
    return LlamaForCausalLM.from_pretrained(path), GPT2Tokenizer.from_pretrained(path)


def run(arguments: argparse.Namespace) -> int:
    options.check(arguments)
    if arguments.greedy:
        options.without_effect(arguments, ("temperature", "top_p"), "with --greedy")
    if arguments.tokens < 1:
        raise ValueError(f"--tokens must be at least 1, got {arguments.tokens}")
    if arguments.prompt is not None and not arguments.prompt.strip():
        raise ValueError("--prompt is empty: give a message with words in it")
    device = Device(arguments.device)
    path = arguments.model or weights.find("smollm2", "chat")
    if arguments.prompt is None:
        print("loading ...", file=sys.stderr)
    model, tokenizer = load(path)
    chat = Chat(model.to(device), tokenizer, arguments)
    if arguments.prompt is not None:
        chat.answer(arguments.prompt)
        return 0
    print("Write a message; /quit or Ctrl-D to leave, Ctrl-C to stop an answer.", file=sys.stderr)
    while True:
        try:
            text = options.text(input("> ")).strip()
        except (EOFError, KeyboardInterrupt):
            print()
            return 0
        except argparse.ArgumentTypeError as error:
            print(error, file=sys.stderr)
            continue
        if text == "/quit":
            return 0
        try:
            if text:
                chat.answer(text)
        except TooLongError as error:  # said, and forgotten: what was said before still counts
            print(error, file=sys.stderr)
