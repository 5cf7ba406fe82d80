"""The recordings of ``curso/falas``: how they were made."""
