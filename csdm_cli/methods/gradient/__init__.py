"""Methods that make the synthetic images' training gradient equal that of the real ones.

Read ``distances``, which says when two gradients are near. Their derivative in the images is the engine's, in
``distillation/gradient_matching``.
"""
