"""Builds the site: `python docs/build.py` writes build/docs/html, `... gettext` the catalogues.

The first build fetches KaTeX's style and fonts with npm and keeps them in build/docs; later ones need
no network.  Pages never do.
"""

import argparse
import shutil
import subprocess
import sys
import tarfile
import time
from pathlib import Path

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
BUILD = ROOT / "build" / "docs"
WHERE = (
    "install Node.js 16 or newer: https://nodejs.org, or on Debian and Ubuntu "
    "'sudo apt-get install nodejs npm'"
)


def fail(sentence: str) -> None:
    """Stop with one sentence."""
    print(f"make docs: {sentence}", file=sys.stderr)
    raise SystemExit(1)


def require_tools() -> None:
    """Say what is missing before anything starts."""
    try:
        import myst_nb  # noqa: F401
        import sphinx_book_theme  # noqa: F401
        import sphinx_copybutton  # noqa: F401
        import sphinxcontrib.katex  # noqa: F401
    except ImportError as error:
        fail(f"{error.name} is not installed: python -m pip install -e '.[docs]'")
    if not shutil.which("node"):
        fail(f"node is missing, which renders the formulas while building: {WHERE}")


def fetch_katex() -> None:
    """KaTeX's style and fonts, of the version that renders the formulas, into build/docs/static."""
    from sphinxcontrib.katex import katex_version

    target = BUILD / "static" / "katex"
    mark = target / f"version-{katex_version}"
    if mark.exists():
        return
    npm = shutil.which("npm")
    if not npm:
        fail(f"npm is missing, which fetches KaTeX's style and fonts once: {WHERE}")
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    done = subprocess.run(
        [npm, "pack", "--silent", f"katex@{katex_version}"],
        cwd=target,
        capture_output=True,
        text=True,
    )
    archives = list(target.glob("katex-*.tgz"))
    if done.returncode or not archives:
        fail(
            f"npm could not fetch katex@{katex_version}, which it does once and needs a network "
            f"for: {done.stderr.strip()}"
        )
    with tarfile.open(archives[0]) as archive:
        for member in archive.getmembers():
            name = member.name.removeprefix("package/dist/")
            if name == "katex.min.css" or name.endswith(".woff2"):
                path = target / name
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(archive.extractfile(member).read())
    archives[0].unlink()
    mark.touch()


def stage() -> None:
    """Write build/docs/source, the folder that Sphinx reads."""
    sys.path[:0] = [str(DOCS / "_ext"), str(ROOT)]
    from catalogue import Catalogue
    from reference import write_pages
    from staging import Staging

    staging = Staging(ROOT, BUILD / "source")
    staging.run()
    write_pages(staging, Catalogue(ROOT, staging.formulas()))
    staging.clean()


def main() -> int:
    """Build, and say where it is."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python docs/build.py")
    parser.add_argument("builder", nargs="?", default="html", choices=["html", "gettext"])
    parser.add_argument("--fresh", action="store_true", help="build every page again")
    arguments = parser.parse_args()
    started = time.perf_counter()
    require_tools()
    fetch_katex()
    stage()
    out = BUILD / arguments.builder
    command = [sys.executable, "-m", "sphinx", "-b", arguments.builder, "-c", str(DOCS), "-W"]
    command += ["--keep-going", "-q", "-d", str(BUILD / f"doctrees-{arguments.builder}")]
    command += ["-E", "-a"] if arguments.fresh else []
    status = subprocess.run([*command, str(BUILD / "source"), str(out)], check=False).returncode
    if status == 0:
        seconds = time.perf_counter() - started
        kind, suffix = ("pages", "html") if arguments.builder == "html" else ("catalogues", "pot")
        count = len(list(out.rglob(f"*.{suffix}")))
        print(f"{count} {kind} in {out.relative_to(ROOT)} ({seconds:.0f} s)")
    return status


if __name__ == "__main__":
    raise SystemExit(main())
