"""Images in memory and what is done to them, before any network.

Read ``image_set`` (uint8, sorted by class), ``normalisation``, ``augmentation_parameters`` (θ as a value), ``augment``
(A_θ, differentiable), ``two_views`` (for training without labels), ``multi_formation`` (several training images from
one stored), ``initial`` (before step 0).
"""
