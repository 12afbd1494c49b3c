"""All that a person sees: ``console`` (notes, progress), ``outlook`` (how long a loop takes), ``tables`` (on a
terminal), ``markdown`` (tables on a page), ``sizes`` (bytes in words), ``scores`` (accuracies in words), ``streams``
(where it goes), ``pictures`` (charts as PNG), ``png`` (an image as PNG), ``class_chart`` (bars of class sizes),
``report_page`` (one HTML file).
"""
