"""Several methods side by side: who takes part, each trial, and the table of all.

Read ``entries`` (rows before they run), ``trials`` (one set distilled and judged, unless it was), ``tables``.
"""
