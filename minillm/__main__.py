"""python -m minillm …"""

import sys


def main() -> int:
    """Run the command line; Ctrl-C ends it without a traceback, even while its modules are loading."""
    try:
        from .cli import main as run

        return run()
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
