"""What a person sees: ``console`` (notes and progress), ``outlook`` (how long a loop takes), ``tables``, ``streams``
(where it goes), ``pictures`` (PNG), ``class_chart`` (bars of class sizes) and ``report_page`` (one HTML file).
"""
