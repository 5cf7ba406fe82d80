"""Programs that train the models that the course ships."""
