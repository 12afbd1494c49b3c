"""Methods that make the synthetic images' training gradient equal that of the real ones.

Read ``distances``, which says when two gradients are near, ``matched``, its derivative in the images, and ``base``,
what dc and dsa share: a network that learns meanwhile. Then one file per method: ``dc``, ``dsa``, and ``lgm``, of a
linear classifier on the features of a network that does not learn.
"""
