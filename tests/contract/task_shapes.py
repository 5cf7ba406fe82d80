"""What each task of the inference API takes and gives, written from the API's documentation.

``REQUESTS`` has, for each task, the schema of its inputs and those of its parameters: the fuzzing
draws valid requests from them and breaks them.
"""

from shapes import TEXT, exactly, list_of

PROBABILITY = {"type": "number", "minimum": 0, "maximum": 1}
NUMBER = {"type": "number"}
PIXEL = {"type": "integer"}

LABEL = exactly(label=TEXT, score=PROBABILITY)
LABELS = list_of(LABEL, minItems=1)
RANKINGS = list_of(LABELS)
SEQUENCES = list_of(exactly(sequence=TEXT, labels=list_of(TEXT), scores=list_of(PROBABILITY)))
LOGITS = list_of(exactly(label=TEXT, score=NUMBER), minItems=1)
TRANSLATIONS = list_of(exactly(translation_text=TEXT))
TRANSCRIPT = exactly(text=TEXT)
CHUNKS = exactly(
    text=TEXT,
    chunks=list_of(exactly(text=TEXT, timestamp=list_of(NUMBER, minItems=2, maxItems=2))),
)
DETECTIONS = list_of(
    exactly(
        label=TEXT, score=PROBABILITY, box=exactly(xmin=PIXEL, ymin=PIXEL, xmax=PIXEL, ymax=PIXEL)
    )
)

FLAG = {"type": "boolean"}
COUNT = {"type": "integer", "minimum": 1, "maximum": 50}
ACTIVATION = {"enum": ["sigmoid", "softmax", "none"]}
SENTENCE = {"type": "string", "maxLength": 60}
SENTENCES = {"type": "array", "items": SENTENCE, "maxItems": 3}
SENTENCE_OR_SENTENCES = {"anyOf": [SENTENCE, SENTENCES]}

REQUESTS = {
    "question-answering": {
        "inputs": exactly(question=SENTENCE_OR_SENTENCES, context=SENTENCE_OR_SENTENCES),
        "parameters": {
            "top_k": COUNT,
            "doc_stride": COUNT,
            "max_answer_len": COUNT,
            "max_seq_len": {"type": "integer", "minimum": 20, "maximum": 500},
            "max_question_len": COUNT,
            "handle_impossible_answer": FLAG,
            "align_to_words": FLAG,
        },
    },
    "text-classification": {
        "inputs": SENTENCE_OR_SENTENCES,
        "parameters": {"top_k": COUNT, "function_to_apply": ACTIVATION},
    },
    "zero-shot-classification": {
        "inputs": {"anyOf": [SENTENCE, exactly(text=SENTENCE), exactly(sequences=SENTENCES)]},
        "parameters": {
            "candidate_labels": {"anyOf": [SENTENCES, SENTENCE]},
            "multi_label": FLAG,
            "hypothesis_template": {"enum": ["Isto é {}.", "{}", "sem lugar", "{0!r:>99}"]},
        },
        "required": ["candidate_labels"],
    },
    "feature-extraction": {
        "inputs": SENTENCE_OR_SENTENCES,
        "parameters": {
            "normalize": FLAG,
            "truncate": FLAG,
            "prompt_name": {"enum": ["query", "passage", "outro"]},
            "truncation_direction": {"enum": ["left", "right", "Left"]},
        },
    },
    "sentence-similarity": {
        "inputs": exactly(source_sentence=SENTENCE, sentences=SENTENCES),
        "parameters": {},
    },
    "translation": {
        "inputs": SENTENCE_OR_SENTENCES,
        "parameters": {
            "src_lang": {"enum": ["pt", "pt-BR", "por_Latn", "en", "xx"]},
            "tgt_lang": {"enum": ["pt", "en", "eng_Latn"]},
            "clean_up_tokenization_spaces": FLAG,
            "truncation": {"enum": ["do_not_truncate", "longest_first", "nunca"]},
            "generate_parameters": {
                "type": "object",
                "properties": {"max_new_tokens": COUNT, "num_beams": COUNT, "do_sample": FLAG},
            },
        },
    },
    "automatic-speech-recognition": {
        "inputs": {"enum": ["$MEDIA", "aula.wav", "http://127.0.0.1:9/aula.wav", "AAAA", ""]},
        "parameters": {
            "return_timestamps": {"enum": [True, False, "word", "char"]},
            "generation_parameters": {
                "type": "object",
                "properties": {
                    "max_new_tokens": {"type": "integer", "minimum": 1, "maximum": 8},
                    "language": {"enum": ["pt", "en", "português", "xx"]},
                    "task": {"enum": ["transcribe", "translate", "cantar"]},
                },
            },
        },
    },
    "image-classification": {
        "inputs": {"enum": ["$MEDIA", "gato.png", "/etc/passwd", "AAAA", ""]},
        "parameters": {"top_k": COUNT, "function_to_apply": ACTIVATION},
    },
    "object-detection": {
        "inputs": {"enum": ["$MEDIA", "gato.png", "AAAA"]},
        "parameters": {"threshold": PROBABILITY},
    },
}
