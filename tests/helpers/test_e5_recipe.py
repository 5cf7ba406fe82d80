import struct

import numpy as np
import pytest

from helpers.embedded import store
from helpers.embedded.recipes import e5

ENCODER = "curso/e5-pt-en"


def header(version=1, block=32):
    return e5.MAGIC + struct.pack("<I7ifi", version, 8, 1, 2, 16, 3, 4, 2, 1e-12, block)


def tiny_file(path):
    """An encoder with three pieces and one quantised matrix, laid out as the package lays it."""
    pieces = ["<s>", "<pad>", "é"]
    blob = "".join(pieces).encode()
    offsets = np.cumsum([0, *(len(piece.encode()) for piece in pieces)], dtype="<u4")
    vocabulary = struct.pack("<i4iQ", len(pieces), 0, 2, 1, 1, len(blob)) + offsets.tobytes()
    vocabulary += np.array([0, 0, -1.5], "<f4").tobytes() + blob + struct.pack("<iI", 0, 2) + b"xx"
    name = b"l0.q.w"
    entry = struct.pack("<iH", 1, len(name)) + name
    quantised = np.arange(16, dtype=np.uint8) | (np.arange(16, dtype=np.uint8)[::-1] << 4)
    data = 2 * (np.float16(0.5).tobytes() + quantised.tobytes())
    start = len(header()) + len(vocabulary) + len(entry) + struct.calcsize("<BIQQ")
    entry += struct.pack("<BIQQ", 1, 64, start, len(data))
    path.write_bytes(header() + vocabulary + entry + data)
    return path


def test_vocabulary_and_quantised_weights_are_read(tmp_path):
    file = e5.read(tiny_file(tmp_path / "tiny.bin"))
    assert file.pieces == [("<s>", 0.0), ("<pad>", 0.0), ("é", -1.5)]
    assert file.special == {"bos": 0, "eos": 2, "pad": 1, "unk": 1}
    block = file.tensors["l0.q.w"][:32]
    assert block[:16].tolist() == [(value - 8) / 2 for value in range(16)]
    assert block[16:].tolist() == [(value - 8) / 2 for value in reversed(range(16))]


@pytest.mark.parametrize("size", [3, 20, 60, 90, -1])
def test_a_file_cut_short_is_refused(tmp_path, size):
    path = tiny_file(tmp_path / "tiny.bin")
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(ValueError, match="short|early|not an E5S1"):
        e5.read(path)


@pytest.mark.parametrize("start", [b"GGUF" + header()[4:], header(version=2), header(block=64)])
def test_another_format_is_refused(tmp_path, start):
    path = tmp_path / "other.bin"
    path.write_bytes(start + bytes(200))
    with pytest.raises(ValueError, match="not an E5S1 file|not supported"):
        e5.read(path)


@pytest.fixture(scope="module")
def encoder():
    if not store.is_built(ENCODER):
        pytest.skip(f"{ENCODER} is not built: python -m helpers models builds it")
    transformers = pytest.importorskip("transformers")
    folder = store.ensure(ENCODER)
    model, info = transformers.AutoModel.from_pretrained(
        folder, add_pooling_layer=False, output_loading_info=True
    )
    assert not info["missing_keys"] and not info["unexpected_keys"]
    return transformers.AutoTokenizer.from_pretrained(folder), model.eval()


def embed(encoder, texts):
    import torch

    tokenizer, model = encoder
    batch = tokenizer(texts, padding=True, return_tensors="pt")
    with torch.inference_mode():
        states = model(**batch).last_hidden_state
    mask = batch["attention_mask"].unsqueeze(-1)
    return torch.nn.functional.normalize((states * mask).sum(1) / mask.sum(1), dim=1)


def test_the_right_passage_is_nearest(encoder):
    queries = [
        "query: Qual é a capital do Brasil?",
        "query: Como assar um bolo de cenoura?",
        "query: Quem escreveu Dom Casmurro?",
        "query: What is the speed of light?",
    ]
    passages = [
        "passage: Brasília é a sede do governo federal desde 1960.",
        "passage: Leve ao forno a massa com cenoura, ovos e farinha por 40 minutos.",
        "passage: Machado de Assis é o autor de Dom Casmurro.",
        "passage: Light travels at 299,792 km per second in vacuum.",
    ]
    similarity = embed(encoder, queries) @ embed(encoder, passages).T
    assert similarity.argmax(dim=1).tolist() == [0, 1, 2, 3]


def test_tokenizer_follows_sentencepiece(encoder):
    tokenizer, _ = encoder
    ids = tokenizer("Olá,   mundo ﬁm", "b")["input_ids"]
    expected = ["<s>", "▁Olá", ",", "▁mundo", "▁fim", "</s>", "</s>", "▁b", "</s>"]
    assert tokenizer.convert_ids_to_tokens(ids) == expected
    assert tokenizer.mask_token_id == len(tokenizer) - 1
