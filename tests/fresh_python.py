"""A Python of its own, to see what a program loads."""

import subprocess
import sys


def loaded_by(program, names):
    """Run statements in a new Python, and return which of these modules it loaded, sorted."""
    code = f"{program}\nimport sys\nprint(*sorted({set(names)!r} & set(sys.modules)))"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.split()
