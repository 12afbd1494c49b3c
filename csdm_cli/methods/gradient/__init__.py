"""Methods that make the synthetic images' training gradient equal that of the real ones, or its features along the way.

Read ``distances``, which says when two gradients are near, ``matched``, its derivative in the images, and ``base``,
what most share: a network that learns meanwhile. ``pooling`` makes it quicker on a CPU. Then one file per method:
``dc``, ``dsa``, ``idc``, ``dream`` (with ``centres``, which images stand for a class), ``cafe`` (with ``layers``, what
its network shows of images), and ``lgm``, of a linear classifier on the features of a network that does not learn.
"""
