"""The sentiment adapter ``curso/sentimento-pt``: data, training and evaluation."""
