"""Methods that make the synthetic images' training gradient equal that of the real ones.

Read ``distances``, which says when two gradients are near, then ``matching``, which takes its derivative in the images.
"""
