"""What OpenAPI allows, asked by schemathesis: no 500, no undocumented answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks

EXAMPLES = 8  # of an operation in one round
CHECKS = (
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
)
LITTLE = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
Owned = Callable[[], dict[str, str]]
"""A job and a picture of the caller's, as the paths name them: what is made up is never found."""


def faults(schema: Any, number: int, owned: Owned, seen: Counter[int] | None = None) -> Iterator[str]:
    """One round of questions to every operation, drawn by `number`; what was wrong with the answers."""
    for found in schema.get_all_operations():
        operation = found.ok()

        @LITTLE
        @seed(number)
        @given(case=operation.as_strategy(), own=st.booleans())
        def ask(case: schemathesis.Case, own: bool) -> None:
            if own and case.path_parameters:
                case.path_parameters |= {k: v for k, v in owned().items() if k in case.path_parameters}
            answer = case.call_and_validate(checks=CHECKS)
            if seen is not None:
                seen[answer.status_code] += 1

        try:
            ask()
        except BaseExceptionGroup as errors:
            yield from (f"{operation.label}: {error}" for error in errors.exceptions)
        except Exception as error:
            yield f"{operation.label}: {error}"
