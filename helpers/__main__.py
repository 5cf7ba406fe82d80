"""The command line: ``python -m helpers lab``, ``python -m helpers test`` and the rest.

This file keeps to syntax that old Pythons can read, so that they answer with a sentence.
"""

import sys

# Written here and not in locales/: reading TOML needs the very Python that is missing.
TOO_OLD = (
    "O curso precisa do Python 3.11 ou mais novo, e este é o Python %d.%d: instale um mais novo "
    "de https://www.python.org/downloads/ e chame-o pelo nome (por exemplo, "
    "`python3.11 -m helpers lab`)."
)
INTERRUPTED = "Interrompido. Nada se perdeu: chame o mesmo comando de novo e ele continua."


def run() -> int:
    """Run one command and return its exit code."""
    if sys.version_info < (3, 11):  # noqa: UP036 - the whole point is to meet an older one
        print(TOO_OLD % sys.version_info[:2], file=sys.stderr)
        return 1
    try:
        from helpers.cli import main

        return main(sys.argv[1:])
    except KeyboardInterrupt:
        print("\n" + INTERRUPTED, file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(run())
