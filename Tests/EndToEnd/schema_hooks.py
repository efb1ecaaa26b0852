"""What schemathesis is told beside the document (SCHEMATHESIS_HOOKS): one check of our own."""

import schemathesis


@schemathesis.check
def told_why_it_is_unavailable(ctx, response, case):
    """A 503 is well only for a revision that nobody has written yet."""
    if response.status_code >= 500:
        assert response.status_code == 503 and response.json()["code"] == "not_searchable_yet", response.text
