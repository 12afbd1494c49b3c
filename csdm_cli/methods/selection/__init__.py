"""Choosing real images instead of optimising any: one file per method on the common ``base``, by the ``rules``."""
