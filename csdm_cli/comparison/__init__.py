"""Several methods side by side: who takes part, each trial, and the table of all.

Read ``entries`` (rows before they run), ``tuning`` (a grid of settings for each), ``trials`` (one set distilled and
judged, unless it was), ``finished`` (sets that are there already, whoever made them), ``tables``.
"""
