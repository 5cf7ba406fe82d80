"""A stand-in for Colab's own module: only what the course or its libraries touch."""

from google.colab import userdata

__all__ = ["userdata"]
