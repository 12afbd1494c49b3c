"""Files that appear whole or not at all, and the keys under which results are kept.

``atomic``, ``tensorfile`` (safetensors with a hashed header), ``places`` (where caches live), ``keys`` and ``rooms``
(what a result depends on, its code included), ``lru`` (in memory).
"""
