"""The Hub's endpoints over the embedded models, datasets and spaces, and over learners' own.

They are what ``huggingface_hub``, ``transformers`` and ``datasets`` ask for, unmodified. Listings
come from the catalog and build nothing. A repository of the course is built when one of its files,
its tree or its details are first asked for, because the real answer (sizes, hashes, commit) needs
it. What learners push is kept by :mod:`helpers.embedded.learners`.
"""
