"""The sources of images, and the long-tailed set they become.

Read ``longtail`` (how many images a class keeps), ``groups`` (images that belong together), ``split_off`` (a test set
for a source without one), ``reserve`` (the development set), ``build`` (from a source to a folder), ``store`` (that
folder), ``holdout`` (the test set's only door, kept apart on purpose); ``sources`` has one module per kind of source.
"""
