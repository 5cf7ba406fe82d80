"""What learners send to the embedded Hub: their repositories, commit by commit.

They are kept in the cache folder, under ``hub``, one folder for each learner, from one session to
the next::

    hub/aluno/blobs/6f/6f1e...            each file's contents, once, named by its sha256
    hub/aluno/models--meu-modelo/         a repository:
        repository.json                       its branches and tags, private or not
        commits/0b7c....json                  which files one commit has, by path
    hub/aluno/incoming/                   what is still arriving

A commit is there once ``repository.json`` names it, and that file is replaced in one step: whoever
kills the server half-way leaves the previous commit as it was. A learner's file names stand only
inside these JSON files, so that no name can reach the disk, whatever the system makes of it.
"""

from helpers.embedded.learners.blobs import Blobs, Incoming, Limits
from helpers.embedded.learners.repositories import (
    Add,
    Commit,
    Delete,
    Learners,
    LearnersRepository,
    Namespace,
    Operation,
)

__all__ = [
    "Add",
    "Blobs",
    "Commit",
    "Delete",
    "Incoming",
    "Learners",
    "LearnersRepository",
    "Limits",
    "Namespace",
    "Operation",
]
