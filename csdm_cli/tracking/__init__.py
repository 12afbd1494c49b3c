"""Experiment tracking: ``tracker`` is the interface (and no tracking at all).

``mlflow`` with ``mlflow_store`` (its database) and ``mlflow_runs`` (what is in it already); ``csv`` and
``tensorboard`` on ``files``; ``wandb``; ``losses`` (terms on their way while a run lasts), ``system`` (use of the
machine), ``process`` (whether a run is alive) and ``guard`` (a failure ends no run).
"""
