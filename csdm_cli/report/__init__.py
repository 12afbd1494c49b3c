"""The page of a distilled set: ``content`` (all that is found of it), ``facts`` (cost and provenance in words) and
``commands`` (what makes it again). ``display/report_page`` draws it.
"""
