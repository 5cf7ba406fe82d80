"""The dataset viewer over the embedded datasets.

``endpoints`` answers the routes; ``splits`` finds a dataset's parts and reads their rows; ``media``
shows the pictures and sounds in them.
"""

from helpers.embedded.viewer.endpoints import PREFIX, routes

__all__ = ["PREFIX", "routes"]
