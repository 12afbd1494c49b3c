"""A report of results: ``sheets`` (the tables of accuracies) and ``files`` (where they and the page go). The page of a
distilled set is ``content`` (all that is found of it), ``facts`` (cost and provenance in words) and ``commands`` (what
makes it again); ``display/report_page`` draws it.
"""
