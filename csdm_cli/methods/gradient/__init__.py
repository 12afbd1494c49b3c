"""Methods that make the synthetic images' training gradient equal that of the real ones.

Read ``distances``, which says when two gradients are near, ``matched``, its derivative in the images, and ``base``,
what all share: a network that learns meanwhile. Then one file per method: ``dc``, ``dsa``.
"""
