"""Real models built from ordinary packages, and the local server that offers them."""
