"""Optimal transport between point sets, for wmdd: ``plan`` (from many points to a few), ``barycentre``."""
