"""One module a model: each turns a downloaded file into a Hugging Face folder."""
