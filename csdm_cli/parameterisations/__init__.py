"""The learned numbers of a distilled set, the images they become, and their weight when they are stored.

Read ``parameterisation`` first, which says what each offers; then ``pixels``, ``multi_formation`` (several images in a
stored one), ``frequency`` (FreD), ``decomposition`` (NSD), ``pyramid``; ``choose`` makes the one that settings ask
for, ``stored`` the one that a file's header names, once ``soundness`` finds no fault in it. A method never sees which
one it is: it gets decoded images and leaves a gradient on them.
"""
