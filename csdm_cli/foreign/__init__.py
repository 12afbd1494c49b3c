"""Sets that other tools distilled, as sets of csdm; files are read as plain data, and nothing in them is run.

Read ``importing`` (the whole way), ``layouts`` (what the field's files look like), ``labels``, ``pictures`` (coded
ones), ``scales`` (of pixels), ``whitening`` (ZCA, undone) and ``plain_torch`` (.pt files).
"""
