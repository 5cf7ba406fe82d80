"""The question-answering adapter ``curso/qa-pt``: data, training and evaluation."""
