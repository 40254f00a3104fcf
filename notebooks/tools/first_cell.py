# Run this cell first: it says which Python is at work here.
import importlib.util
import subprocess
import sys

REPOSITORY = ""  # on Colab only: the address of your copy of minillm, "https://…/minillm.git"
if "google.colab" in sys.modules and REPOSITORY and not importlib.util.find_spec("minillm"):
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", f"git+{REPOSITORY}"], check=True)
if not importlib.util.find_spec("minillm"):
    raise ModuleNotFoundError(
        f"wrong kernel: choose minillm. This notebook runs in {sys.executable}, where minillm is not "
        "installed. Open it with 'make lab', or choose the Python of minillm's folder .venv as kernel; "
        "on Colab fill in REPOSITORY above."
    )

import minillm
import numpy

print(f"minillm {minillm.__version__}, Python {sys.version.split()[0]}, NumPy {numpy.__version__}")
print(sys.executable)
