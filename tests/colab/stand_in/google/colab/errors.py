"""The base of Colab's errors."""


class Error(Exception):
    """What Colab's own errors are made of."""
