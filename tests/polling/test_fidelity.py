"""Every shape of response that once gave a wrong number, or none, is counted rightly."""

import asyncio
import json
from typing import Final

import pytest

from exporter.polling.folder_counts import FolderCounts
from exporter.polling.walk import WalkLimits, walk
from exporter.scaleengine.errors import ApiError, ProtocolError, ScaleEngineError
from exporter.scaleengine.file_listing import Listing, read_listing
from exporter.scaleengine.json_values import SchemaError, decode
from tests.polling.fidelity_cases import CASES, PATH
from tests.polling.scripted_api import NOTHING, Allowed, Case, Truth
from tests.support.sentences import REPORTED_FAILURE

UNDECIDABLE: Final = {"W4": Truth(1, 0), "W8": Truth(0, 0)}
"""What is published where the responses are ambiguous: docs/metrics.md says so."""


class CaseApi:
    """Responds from a case, through JSON and the reading of listings."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self.requests = 0

    async def request(self, path: str, offset: int) -> Listing:
        return self._listing(path, offset)

    def _listing(self, path: str, offset: int) -> Listing:
        moments = [moment for moment in self._case.moments if moment.first_request <= self.requests]
        self.requests += 1
        respond = moments[-1].folders.get(path)
        if respond is None:
            raise ApiError("files.list", REPORTED_FAILURE, "check the path")
        value = respond(offset)
        text = json.dumps({"data": [] if value is NOTHING else {path: value}})
        response = decode(text.encode())
        assert isinstance(response, dict)
        try:
            return read_listing(response, path, offset)
        except SchemaError as unexpected:
            raise ProtocolError("files.list", str(unexpected), "report it") from None


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_published_number_is_true_or_absent(case: Case) -> None:
    """A number is the truth of a moment, or there is none where the case allows that."""
    api, counts = CaseApi(case), FolderCounts(None)
    published: Truth | None = None
    try:
        asyncio.run(
            walk(PATH, api.request, WalkLimits(max_concurrency=1, max_requests=5000), counts)
        )
    except ScaleEngineError:
        assert case.allowed is not Allowed.EXACT
    else:
        result = counts.result(max_folders=1)
        published = Truth(result.files, result.folders)
    truths = [moment.truth for moment in case.moments]
    if case.allowed is Allowed.UNDECIDABLE:
        assert published == UNDECIDABLE[case.name]
    elif case.allowed is Allowed.OFF_BY_MOVES and published is not None:
        assert any(abs(published.files - truth.files) <= case.moved for truth in truths)
    else:
        assert published is None or published in truths
    assert api.requests <= case.max_requests
