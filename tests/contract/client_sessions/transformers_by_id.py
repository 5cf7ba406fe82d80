"""Load a model by its id, as the documentation shows; HF_ENDPOINT points at the server."""

import json
from pathlib import Path

from huggingface_hub import try_to_load_from_cache
from transformers import AutoModelForQuestionAnswering, AutoTokenizer

from helpers.question_answering import QuestionAnswerer

MODEL = "curso/qa-pt"
tokenizer = AutoTokenizer.from_pretrained(MODEL)
model = AutoModelForQuestionAnswering.from_pretrained(MODEL)
answer = QuestionAnswerer(model, tokenizer)(
    question="Qual é o meu nome?",
    context="Meu nome é Marcundes e estou gravando uma aula sobre Hugging Face.",
)
cached = Path(try_to_load_from_cache(MODEL, "model.safetensors"))
print(json.dumps({"answer": answer, "commit": cached.parent.name}))
