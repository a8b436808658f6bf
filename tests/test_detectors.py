"""Every detector there is keeps the contract."""

from __future__ import annotations

import pytest

from blemish.detectors import detector_names
from blemish.detectors.conformance import CLAUSES, Case


@pytest.fixture(scope="module", params=detector_names())
def case(request, tmp_path_factory):
    return Case(request.param, tmp_path_factory.mktemp(request.param))


@pytest.mark.parametrize("clause", CLAUSES, ids=lambda clause: clause.__name__)
def test_keeps_the_contract(case, clause):
    clause(case)
