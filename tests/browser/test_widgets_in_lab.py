"""The notebooks' panels, moved by hand in a real JupyterLab."""


def test_decision_aid_answers_a_slider_and_a_choice(open_notebook):
    lab = open_notebook("03")
    lab.run_all()
    panel = lab.panel()
    sentence = panel.locator("[role=status]")
    first = sentence.inner_text()
    lab.picture("decision_before")

    slider = panel.locator("[role=slider]").first  # reached and moved with the keyboard alone
    slider.focus()
    lab.page.keyboard.press("End")
    lab.wait_for_text(sentence, "2.400 GB")  # a million million parameters of two bytes, and 20 %
    assert first != sentence.inner_text()

    panel.locator("select").last.select_option(label="pessoais")
    lab.wait_for_text(sentence, "os dados são pessoais")
    lab.picture("decision_after")
    assert lab.red_outputs() == 0


def test_explorer_follows_a_choice_and_a_slider(open_notebook):
    lab = open_notebook("01")
    lab.run_all()
    panel = lab.panel()
    sentence = panel.locator("[role=status]")
    everything = sentence.inner_text()
    lab.picture("explorer_before")

    panel.locator("select").first.select_option(label="translation")
    lab.wait_for_text(sentence, "2 de")
    assert sentence.inner_text() != everything

    slider = panel.locator("[role=slider]").first
    slider.focus()
    lab.page.keyboard.press("Home")
    lab.wait_for_text(sentence, "0 de")
    lab.picture("explorer_after")
    assert lab.red_outputs() == 0
