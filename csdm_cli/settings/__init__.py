"""The settings there are, and where their values came from.

``sections`` (params.yaml as types; the same fields are the options) of ``section``, ``making_sections``,
``distill_section`` and ``measuring_sections``; ``fields`` (kinds of values), ``presets``,
``resolve`` (defaults < preset < params.yaml < command line), ``messages`` (what is wrong, in words), ``units``
(settings of earlier releases), ``source_word`` (a dataset's name, or a folder).
"""
