"""Files: how they are read and written so that damage is noticed and nothing is lost. ``bounded.py`` reads JSON that
people or other runs may have changed."""
