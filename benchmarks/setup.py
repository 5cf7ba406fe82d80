"""How long it takes to get going: import, setup(), a second `lab`, and the installation itself.

    python benchmarks/setup.py            # the first three, about half a minute
    python benchmarks/setup.py --install  # also `lab`'s installation against plain pip, minutes

Each figure is the median of several runs in fresh processes. The installation is measured as a
ratio: both sides make a venv and install the same files with the same warm pip cache, in turn
(pip, lab, lab, pip), in one run of this program. Exit code 1 if a limit is exceeded.
"""

import argparse
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIMITS = {"import": 0.2, "setup": 2.0, "lab": 6.0, "install": 1.15}


def import_seconds():
    """Seconds that `import helpers` takes, without Python's own start."""
    code = "import time; t = time.perf_counter(); import helpers; print(time.perf_counter() - t)"
    return float(_output(code).splitlines()[-1])


def setup_seconds():
    """Seconds that `helpers.setup()` takes in a fresh process, the server already running."""
    code = (
        "import time, helpers; t = time.perf_counter(); helpers.setup();"
        "print(); print(time.perf_counter() - t)"
    )
    return float(_output(code, COURSE_MODE="embedded").splitlines()[-1])


def lab_seconds():
    """Seconds from the command to a page that answers, on an installation that is complete."""
    command = [sys.executable, "-m", "helpers", "lab", "--no-browser"]
    start = time.perf_counter()
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        for line in process.stdout:
            if found := re.search(r"http://\S+", line):
                urllib.request.urlopen(found[0]).close()
                return time.perf_counter() - start
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    raise RuntimeError("lab did not print an address")


def install_ratio():
    """What `python -m helpers` takes to install, over a venv and plain pip: (ratio, lab, pip)."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        _pip_install(folder)  # warms pip's cache, so that the network's moods do not count
        times = {"pip": [], "lab": []}
        for side in ("pip", "lab", "lab", "pip"):
            run = _pip_install if side == "pip" else _lab_install
            times[side].append(run(folder))
            print(f"  {side}: {times[side][-1]:.1f} s", flush=True)
    lab, pip = statistics.mean(times["lab"]), statistics.mean(times["pip"])
    return lab / pip, lab, pip


def _pip_install(folder):
    venv = folder / "plain"
    python = venv / ("Scripts" if os.name == "nt" else "bin") / "python"
    requirements = ["-r", ROOT / "requirements.txt", "-c", ROOT / "constraints.txt"]
    start = time.perf_counter()
    subprocess.run([_base_python(), "-m", "venv", venv], check=True)
    subprocess.run([python, "-m", "pip", "install", "-q", *requirements], check=True)
    seconds = time.perf_counter() - start
    shutil.rmtree(venv)
    return seconds


def _lab_install(folder):
    course = folder / "course"
    course.mkdir()
    shutil.copytree(ROOT / "helpers", course / "helpers")
    for name in ("requirements.txt", "constraints.txt"):
        shutil.copy(ROOT / name, course)
    code = "from helpers import bootstrap; bootstrap.ensure()"
    start = time.perf_counter()
    subprocess.run([_base_python(), "-c", code], cwd=course, check=True, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - start
    shutil.rmtree(course)
    return seconds


def _base_python():
    return os.path.realpath(sys.executable)


def _output(code, **changes):
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | changes,
        capture_output=True,
        text=True,
        check=True,
    )
    return result.stdout


def _median(measure, repeats):
    measure()  # the first call compiles and starts what later ones find
    return statistics.median(measure() for _ in range(repeats))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--install", action="store_true", help="also measure the installation")
    options = parser.parse_args()
    figures = {
        "import": _median(import_seconds, 9),
        "setup": _median(setup_seconds, 5),
        "lab": _median(lab_seconds, 3),
    }
    print(f"import helpers            {figures['import']:.3f} s")
    print(f"setup(), all cached       {figures['setup']:.2f} s")
    print(f"second lab until ready    {figures['lab']:.2f} s")
    if options.install:
        print("installation, warm pip cache")
        figures["install"], lab, pip = install_ratio()
        print(f"  lab / plain pip         {figures['install']:.2f}  ({lab:.0f} s / {pip:.0f} s)")
    exceeded = [name for name, value in figures.items() if value > LIMITS[name]]
    print(f"over the limit: {', '.join(exceeded)}" if exceeded else "all within the limits")
    return 1 if exceeded else 0


if __name__ == "__main__":
    sys.exit(main())
