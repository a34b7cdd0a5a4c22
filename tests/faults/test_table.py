"""Every row of the table of faults has a test, and the test is there."""

import ast
from pathlib import Path

import pytest

from tests.faults.table import TABLE

TESTS = Path(__file__).parents[1]


@pytest.mark.parametrize("fault", TABLE)
def test_a_fault_is_caused_by_a_test(fault):
    assert TABLE[fault]
    for test in TABLE[fault]:
        file, _, name = test.partition("::")
        tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
        assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, test
