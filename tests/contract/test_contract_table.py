"""docs/contrato.md says what the tests prove, no more and no less."""

import subprocess
import sys

import contract_table
import pytest

ROOT = contract_table.ROOT


def test_the_table_is_up_to_date():
    program = [sys.executable, contract_table.__file__, "--print"]
    made = subprocess.run(program, capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert made.returncode == 0, made.stdout + made.stderr
    kept = contract_table.DOCUMENT.read_text(encoding="utf-8")
    assert made.stdout == kept, "run: python tests/contract/contract_table.py"


def test_a_word_that_nobody_knows_is_refused():
    proof = contract_table.Proof("translation", "curl", "answer", "test_x.py::test_y")
    with pytest.raises(ValueError, match=r"test_y: 'curl' is none of .*InferenceClient"):
        contract_table.render({proof})


def test_a_cell_counts_tests_and_an_empty_one_says_so():
    proofs = {
        contract_table.Proof("translation", "requests", direction, f"test_x.py::{test}")
        for test, direction in (("a", "answer"), ("b", "answer"), ("b", "error"))
    }
    document = contract_table.render(proofs)
    assert "| tradução | resposta 2, erro 1 | — |" in document
    assert "- `test_x.py::b`: `requests` erro, `requests` resposta" in document
