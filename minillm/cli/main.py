"""Parsing the command line, and turning every foreseeable error into one line."""

import argparse
import sys

from . import (
    assignment,
    chat,
    demo,
    doctor,
    embed,
    finetune,
    generate,
    gradcheck,
    info,
    task,
    tokenize,
    train,
    weights,
)
from .errors import USER_ERRORS, sentence

COMMANDS = {
    "demo": demo,
    "train": train,
    "generate": generate,
    "task": task,
    "finetune": finetune,
    "chat": chat,
    "embed": embed,
    "weights": weights,
    "tokenize": tokenize,
    "gradcheck": gradcheck,
    "assignment": assignment,
    "info": info,
    "doctor": doctor,
}


class HelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """Help that shows a default only where there is one."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        if action.default in (None, False, argparse.SUPPRESS):
            return action.help
        return super()._get_help_string(action)


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit status: 0 done, 1 failed, 2 misused, 130 interrupted."""
    parser = argparse.ArgumentParser(
        prog="python -m minillm",
        description="minillm, a textbook that runs: language models from scratch in NumPy.",
        epilog="example:  python -m minillm demo",
    )
    parser.add_argument("--traceback", action="store_true", help="show where an error came from")
    # the metavar is as long as the longest command, or argparse would break its line
    commands = parser.add_subparsers(dest="command", metavar="command [options]", required=True)
    for name, module in COMMANDS.items():
        sub = commands.add_parser(
            name,
            help=module.SUMMARY,
            description=module.SUMMARY,
            epilog=f"example:  {module.EXAMPLE}",
            formatter_class=HelpFormatter,
        )
        module.add_arguments(sub)
        sub.set_defaults(parser=sub)  # which knows how the options are typed
    arguments = parser.parse_args(argv)
    for stream in (sys.stdout, sys.stderr):  # a Windows console may not be UTF-8
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    try:
        return COMMANDS[arguments.command].run(arguments)
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output, such as head, has seen enough
        sys.stderr.close()
        return 1
    except USER_ERRORS as error:
        if arguments.traceback:
            raise
        said = sentence(error, arguments.parser)
        print(f"minillm {arguments.command}: error: {said}", file=sys.stderr)
        return 1
