"""The dataset ``curso/frases-avaliadas-pt``: rated sentences, chosen, split and translated."""
