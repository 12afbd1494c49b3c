"""The mathematics of CSDM: pure functions of tensors, knowing no file, option or method.

Read ``kernels`` (κ and its spectral measure), ``points`` (how frequencies are spread), ``characteristic`` (the ECF),
``distance`` (amplitude and phase), ``weights`` (α by class size); then ``estimates`` (of few images), ``mmd`` (the same
by kernel matrices) and ``product`` (the fastest x·yᵀ here).
"""
