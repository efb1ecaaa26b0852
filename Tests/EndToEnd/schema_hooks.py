"""What schemathesis is told beside the document (SCHEMATHESIS_HOOKS): a check of our own, and what an import's lines are."""

import json

import schemathesis
from hypothesis import strategies as st

ROW = {"id": "imported", "name": "Imported", "providerName": "Import Works", "kind": "api", "categories": ["Databases"],
       "tags": [], "description": "A listing that an import brought."}
LINE = st.one_of(
    st.builds(lambda n, name: json.dumps({**ROW, "id": f"imported-{n}", "name": name}), st.integers(0, 9), st.text(max_size=20)),
    st.sampled_from([json.dumps(ROW), "{}", "[]", "null", "", "{", '{"id": 1}']), st.text(max_size=40))
schemathesis.openapi.media_type(
    "application/x-ndjson", st.lists(LINE, max_size=5).map(lambda lines: "\n".join(lines).encode("utf-8", "replace")))


@schemathesis.check
def told_why_it_is_unavailable(ctx, response, case):
    """A 503 is well only for a revision that nobody has written yet."""
    if response.status_code >= 500:
        assert response.status_code == 503 and response.json()["code"] == "not_searchable_yet", response.text
