"""Several methods side by side: the entries, each trial, and the table of all.

Read ``measure`` (all tables, from settings), then what it calls: ``executors`` (where the cells of tables are computed:
here one after another, or by ``ray_cluster``), ``entries`` (rows before they run), ``context`` (all that the tables
of one long-tailed set share), ``tuning`` (a grid of settings for each), ``trials`` (one set distilled and evaluated,
unless it was), ``finished`` (sets that are there already, whoever made them), ``tables`` (rows of scores, and how a
terminal shows them), ``files`` (JSON, CSV and picture).
"""
