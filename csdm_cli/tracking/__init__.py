"""Experiment tracking: ``tracker`` is the interface (and no tracking at all), ``mlflow`` the store."""
