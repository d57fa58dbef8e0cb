"""docs/macs.md says what is counted now, as far as that takes no run of a large network."""

from __future__ import annotations

from pathlib import Path

from heliograph.bench.device.macs_table import LanguageModel, Network, page, reference_networks
from heliograph.bench.macs import Prefill

PAGE = (Path(__file__).parents[3] / "docs" / "macs.md").read_text(encoding="utf-8")


def test_the_reference_models_rows_are_those_of_the_page():
    networks, language = reference_networks()
    made = page(networks, [language])
    rows = [line for line in made.splitlines() if line.startswith("| reference model")]
    assert len(rows) == 5
    assert [row for row in rows if row not in PAGE.splitlines()] == []
    assert made.split("| model")[0] in PAGE
    assert networks[0].torch_macs == networks[0].onnx_macs


def test_a_page_of_made_up_networks():
    network = Network("m", "part", "input", onnx_macs=1_500_000)
    language = LanguageModel("m", 1, 10, 20, 2, 1, 100, Prefill(10, 500, 50))
    made = page([network], [language])
    assert "| m | part | input | 1.5 | 3 |  | 1,500,000 |" in made
    assert "| m | 1, 10, 20 | 2 (1) | 10 | 500 | 50 |" in made
    whole, half = 10 * 132**2 + 500 * 132 + 50, 10 * 82**2 + 500 * 82 + 50
    assert f"(50 tokens, {half / whole:.2f})" in made
