"""The explorer with sizes as far apart as the Hub's: each model can be told from the next."""

import replay_hub

from helpers.widgets import explorer

SIZE = "milhões de parâmetros"


def test_the_slider_separates_small_models_from_smaller_ones():
    totals = {
        item["id"]: item["safetensors"]["total"] / 1e6
        for item in replay_hub.recorded("models")
        if item["safetensors"]
    }
    totals["exemplo/setenta-bilhoes"] = 70_000.0
    rows = [{"modelo": name, SIZE: round(total, 1)} for name, total in totals.items()]
    panel = explorer(rows, [], size=SIZE, name="modelo")
    assert repr(panel).startswith(f"{len(rows)} de {len(rows)} ")
    slider = panel.controls[SIZE]
    for limit, name in ((4, "exemplo/cartao-sem-cabecalho"), (3_000, "meta-llama/Llama-3.2-1B")):
        slider.value = limit
        kept = sum(row[SIZE] <= slider.value for row in rows)
        assert repr(panel).startswith(f"{kept} de ") and name in repr(panel)
        assert "setenta" not in repr(panel) and 0.9 * limit < slider.value <= 1.1 * limit
    slider.value = 0
    assert repr(panel).startswith("0 de ")


def test_one_size_or_none():
    for sizes in ([5.0, 5.0], [0, 0], [0, 3.5]):
        rows = [{"modelo": str(place), SIZE: size} for place, size in enumerate(sizes)]
        assert repr(explorer(rows, [], size=SIZE, name="modelo")).startswith("2 de 2")
