"""Submissions that misbehave, each with the status that it must get.

All of them hold the same right function first, so that it can be seen what becomes of its points.
"""

RIGHT = """
import numpy as np

def tanh_forward(x):
    out = np.tanh(x)
    return out, out

def tanh_backward(grad_out, out):
    return (grad_out * (1 - out * out),)
"""

EXP = """
def exp_forward(x):
    out = np.exp(x)
    return out, out

def exp_backward(grad_out, out):
    {}
    return (grad_out * out,)
"""


def in_backward(code):
    """A second function whose backward does something before it returns the right gradient."""
    return RIGHT + EXP.format(code)


# name: (source, status, a word of the detail, points of tanh)
CASES = {
    "loops_at_import": (RIGHT + "while True: pass", "time limit", "before its functions", 0),
    "loops_in_backward": (in_backward("while True: pass"), "time limit", "while exp was", 1),
    "exits_at_import": (RIGHT + "import sys\nsys.exit(3)", "exited", "SystemExit", 1),
    "exits_in_backward": (in_backward("raise SystemExit"), "exited", "exp raised SystemExit", 1),
    "os_exits_at_import": (RIGHT + "import os\nos._exit(0)", "exited", "before its functions", 0),
    "os_exits_in_backward": (in_backward("import os; os._exit(0)"), "exited", "while exp was", 1),
    "prints_megabytes": (
        RIGHT + "for _ in range(40): print('x' * 50000)",
        "too much output",
        "2,000,040 bytes",
        1,
    ),
    "prints_forever": (RIGHT + "while True: print('x' * 65536)", "too much output", "was ended", 0),
    "takes_all_memory": (RIGHT + "a = np.ones((2**20, 2**14))", "memory limit", "line 10", 1),
    "takes_memory_in_backward": (
        in_backward("a = np.ones((2**20, 2**14))"),
        "memory limit",
        "exp asked for",
        1,
    ),
    "takes_memory_slowly": (
        RIGHT + "a = []\nwhile True: a.append(bytearray(2**27))",
        "memory limit",
        "line 11",
        1,
    ),
    "forks_and_goes_on": (
        RIGHT + "import os, time\nif os.fork():\n    time.sleep(1)",
        "ok",
        "",
        1,
    ),
    "forks_children_that_stay": (
        RIGHT + "import os, time\nif os.fork() == 0:\n    time.sleep(600)",
        "ok",
        "",
        1,
    ),
    "removes_its_folder": (
        RIGHT + "import os, shutil\nshutil.rmtree(os.getcwd())",
        "ok",
        "",
        1,
    ),
    "crashes": (in_backward("import os; os.kill(os.getpid(), 11)"), "crashed", "SIGSEGV", 1),
    "patches_numpy": (
        RIGHT + "np.allclose = lambda *a, **k: True",
        "patched the checker",
        "numpy.allclose",
        0,
    ),
    "patches_check_gradients": (
        RIGHT + "import minillm.gradcheck as g\ng.check_gradients = lambda *a, **k: None",
        "patched the checker",
        "minillm.gradcheck.check_gradients",
        0,
    ),
    "patches_the_report": (
        RIGHT + "from minillm.gradcheck import GradientReport\n"
        "GradientReport.passed = property(lambda self: True)",
        "patched the checker",
        "GradientReport.passed",
        0,
    ),
    "patches_the_code_of_a_function": (
        RIGHT + "from minillm.gradcheck import check_gradients\ndef f(*a, **k): return None\n"
        "check_gradients.__code__ = f.__code__",
        "patched the checker",
        "check_gradients",
        0,
    ),
    "patches_in_backward": (
        in_backward("np.abs = np.sign"),
        "patched the checker",
        "numpy.abs",
        0,
    ),
    "patches_a_builtin": (
        RIGHT + "import builtins\nbuiltins.max = min",
        "patched the checker",
        "builtins.max",
        0,
    ),
    "writes_into_the_result": (
        RIGHT + "import os\nfor fd in range(3, 20):\n    try: os.write(fd, b'{}\\n')\n"
        "    except OSError: continue",
        "patched the checker",
        "the file of the results",
        0,
    ),
    "raises_at_import": (RIGHT + "1 / 0", "import error", "line 10: ZeroDivisionError", 1),
    "imports_what_is_not_there": (
        RIGHT + "import not_a_package",
        "import error",
        "ModuleNotFoundError",
        1,
    ),
    "is_not_python": (RIGHT + "def f(:\n", "syntax error", "line 10", 0),
    "recurses": (in_backward("exp_backward(grad_out, out)"), "ok", "", 1),
}  # fmt: skip
POSIX_ONLY = {"forks_and_goes_on", "forks_children_that_stay", "crashes"} | {
    name for name in CASES if "memory" in name
}
