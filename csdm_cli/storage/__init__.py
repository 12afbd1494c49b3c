"""Files that appear whole or not at all, guarded by hashes, and never over what csdm did not write.

``atomic``, ``outputs`` (the guard of all that a command leaves) and ``kinds`` (how csdm knows its own files); ``seal``
(a hash beside values), ``tensorfile`` (safetensors with a hashed header), ``bounded`` and ``plain_numpy`` (readers of
what strangers may have changed); ``places`` (where caches live), ``keys`` and ``rooms`` (what a result depends on, its
code included), ``lru`` (in memory).
"""
