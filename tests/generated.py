"""Puts what the code says into a document, between two comments that mark the place."""


def put_in(document, name, made):
    """Return the text of `document` with `made` between the comments for `name`.

    They are `<!-- begin name -->` and `<!-- end name -->`, a line each. Raises ValueError
    unless the document has just one pair of them.
    """
    begin, end = f"<!-- begin {name} -->\n", f"<!-- end {name} -->\n"
    before, rest = document.split(begin)
    _, after = rest.split(end)
    return f"{before}{begin}{made}{end}{after}"
