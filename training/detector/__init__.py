"""The detector of drawings ``curso/detector-de-figuras``: scenes, training and evaluation."""
