import json
import struct

import numpy as np
import pytest

from helpers import architectures
from helpers.embedded import fetch, store
from helpers.embedded.catalog import catalog
from helpers.embedded.recipes import marian_ssru

WIDTH, HIDDEN, PIECES = 4, 6, 5
PT_EN, EN_PT = "curso/traducao-pt-en", "curso/traducao-en-pt"
OPTIONS = "".join(
    f"{name}: {value}\n"
    for name, value in {**marian_ssru.SUPPORTED, "transformer-heads": 2}.items()
)

PORTUGUESE = [
    "O gato dorme no sofá.",
    "Posso levar meu cachorro para o hotel?",
    "Qual é a capital do Brasil?",
    "O prazo para trocar um produto é de sete dias úteis.",
    "A fotossíntese é o processo pelo qual as plantas transformam luz em energia.",
    "Machado de Assis nasceu no Rio de Janeiro em 1839.",
]
# What the package's own engine answers.
ENGLISH = [
    "The cat sleeps on the couch.",
    "Can I take my dog to the hotel?",
    "What is the capital of Brazil?",
    "The deadline for changing a product is seven working days.",
    "Photosynthesis is the process by which plants turn light into energy.",
    "Machado de Assis was born in Rio de Janeiro in 1839.",
]


def matrix(rows, columns, seed=0):
    values = np.random.default_rng(seed).integers(-127, 128, (rows, columns), dtype=np.int8)
    return values, np.float32(50.0)


def int8(values, multiplier):
    raw = values.tobytes() + multiplier.tobytes()
    return 0x4101, raw + bytes(-len(raw) % 256)


def floats(*values):
    raw = np.array(values, "<f4").tobytes()
    return 0x404, raw + bytes(-len(raw) % 256)


def pack(tensors, version=1):
    """Lay out a model: name -> (shape, (type, data)), as Marian lays it out."""
    names = [name.encode() + b"\0" for name in tensors]
    headers = [
        struct.pack("<4Q", len(name), kind, len(shape), len(raw))
        for name, (shape, (kind, raw)) in zip(names, tensors.values(), strict=True)
    ]
    shapes = b"".join(struct.pack(f"<{len(shape)}i", *shape) for shape, _ in tensors.values())
    start = struct.pack("<2Q", version, len(tensors)) + b"".join([*headers, *names, shapes])
    padding = -(len(start) + 8) % 256
    data = b"".join(raw for _, (_, raw) in tensors.values())
    return start + struct.pack("<Q", padding) + bytes(padding) + data


def tiny_tensors(options=OPTIONS):
    """One encoder layer, one decoder layer, as the real file names them."""
    tensors = {
        "Wemb": ((PIECES, WIDTH), int8(*matrix(PIECES, WIDTH))),
        "Wemb_QuantMultA": ((1, 1), floats(1.0)),
        "decoder_ff_logit_out_b": ((1, PIECES), floats(*range(PIECES))),
        "special:model.yml": ((len(options) + 1,), (0x101, options.encode() + b"\0")),
    }
    for prefix, parts in (("encoder_l1", ("self",)), ("decoder_l1", ("context", "rnn"))):
        for part in parts:
            letters = ("f", "") if part == "rnn" else "qkvo"
            for seed, letter in enumerate(letters):
                name = f"{prefix}_{part}_W{letter}"
                tensors[name] = ((WIDTH, WIDTH), int8(*matrix(WIDTH, WIDTH, seed)))
                if letter:
                    bias = name.replace("_W", "_b")
                    tensors[bias] = ((1, WIDTH), floats(*range(WIDTH)))
            norm = "rnn_ffn" if part == "rnn" else f"{part}_Wo"
            for suffix in ("scale", "bias"):
                tensors[f"{prefix}_{norm}_ln_{suffix}"] = ((1, WIDTH), floats(*[1.0] * WIDTH))
        tensors[f"{prefix}_ffn_W1"] = ((WIDTH, HIDDEN), int8(*matrix(HIDDEN, WIDTH)))
        tensors[f"{prefix}_ffn_W2"] = ((HIDDEN, WIDTH), int8(*matrix(WIDTH, HIDDEN)))
        tensors[f"{prefix}_ffn_b1"] = ((1, HIDDEN), floats(*range(HIDDEN)))
        tensors[f"{prefix}_ffn_b2"] = ((1, WIDTH), floats(*range(WIDTH)))
        for suffix in ("scale", "bias"):
            tensors[f"{prefix}_ffn_ffn_ln_{suffix}"] = ((1, WIDTH), floats(*[1.0] * WIDTH))
    return tensors


def tiny_tokenizer(path, pieces=("</s>", "<unk>", "▁o", "▁gato", "▁cat")):
    from tokenizers import Tokenizer, models, pre_tokenizers

    scores = [(piece, -float(index)) for index, piece in enumerate(pieces)]
    tokenizer = Tokenizer(models.Unigram(scores, unk_id=1))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.save(str(path))
    return path


def write(folder, data):
    path = folder / "model.bin"
    path.write_bytes(data)
    return path


def test_both_number_formats_are_read(tmp_path):
    file = marian_ssru.read(write(tmp_path, pack(tiny_tensors())))
    values, multiplier = matrix(PIECES, WIDTH)
    assert np.array_equal(file.tensors["Wemb"], values / multiplier)  # a table of rows
    values, multiplier = matrix(HIDDEN, WIDTH)
    assert np.array_equal(file.tensors["encoder_l1_ffn_W1"], (values / multiplier).T)
    assert file.tensors["decoder_ff_logit_out_b"].tolist() == [0, 1, 2, 3, 4]
    assert file.options["transformer-heads"] == "2"
    assert not [name for name in file.tensors if "QuantMult" in name or "special" in name]


def test_a_tiny_model_loads_strictly_and_twice_alike(tmp_path):
    torch = pytest.importorskip("torch")
    architectures.register()
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    source = write(tmp_path, pack(tiny_tensors()))
    tokenizer = tiny_tokenizer(tmp_path / "tokenizer.json")
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
        marian_ssru.build(source, tokenizer, folder)
    for path in folders[0].iterdir():
        assert path.read_bytes() == (folders[1] / path.name).read_bytes(), path.name
    model, info = AutoModelForSeq2SeqLM.from_pretrained(folders[0], output_loading_info=True)
    assert not any(info.values())
    assert model.dtype is torch.float32 and model.config.vocab_size == PIECES + 1
    assert model.encoder.embed_tokens.weight[PIECES].tolist() == [0] * WIDTH
    ids = AutoTokenizer.from_pretrained(folders[0])("o gato")["input_ids"]
    assert ids == [2, 3, 0]
    output = model.generate(torch.tensor([ids]), max_new_tokens=3)
    assert output[0, 0] == PIECES and PIECES not in output[0, 1:-1] and 1 not in output


@pytest.mark.parametrize("size", [0, 10, 40, 500, 2000, -1, -300])
def test_a_file_cut_short_is_refused(tmp_path, size):
    data = pack(tiny_tensors())[:size]
    with pytest.raises(ValueError, match="cut short|not a Marian"):
        marian_ssru.read(write(tmp_path, data))


def test_another_format_or_architecture_is_refused(tmp_path):
    with pytest.raises(ValueError, match="version 1"):
        marian_ssru.read(write(tmp_path, pack(tiny_tensors(), version=2)))
    with pytest.raises(ValueError, match="dec-cell is 'gru'"):
        options = OPTIONS.replace("dec-cell: ssru", "dec-cell: gru")
        marian_ssru.read(write(tmp_path, pack(tiny_tensors(options))))
    with pytest.raises(ValueError, match="0x4202"):
        strange = {**tiny_tensors(), "encoder_l1_self_Wq": ((4, 4), (0x4202, bytes(256)))}
        marian_ssru.read(write(tmp_path, pack(strange)))
    with pytest.raises(ValueError, match="no place"):
        extra = {**tiny_tensors(), "encoder_l1_gate_W": ((1, 1), floats(1.0))}
        marian_ssru.state_dict(marian_ssru.read(write(tmp_path, pack(extra))))


def test_another_tokenizer_is_refused(tmp_path):
    source = write(tmp_path, pack(tiny_tensors()))
    tokenizer = tiny_tokenizer(tmp_path / "tokenizer.json", ("</s>", "<unk>", "▁o"))
    with pytest.raises(ValueError, match="model of 5 pieces"):
        marian_ssru.build(source, tokenizer, tmp_path)
    assert not (tmp_path / "model.safetensors").exists()


def tiny_model(layers=2):
    import torch

    from helpers.architectures.ssru_marian import SSRUMarianForSeq2SeqLM
    from helpers.architectures.ssru_marian_config import SSRUMarianConfig

    torch.manual_seed(0)
    config = SSRUMarianConfig(
        vocab_size=20, d_model=16, encoder_layers=layers, decoder_layers=layers,
        encoder_attention_heads=4, decoder_attention_heads=4, encoder_ffn_dim=32,
        decoder_ffn_dim=32, pad_token_id=19, decoder_start_token_id=19, initializer_range=0.5,
    )  # fmt: skip
    return SSRUMarianForSeq2SeqLM(config).eval()


def test_the_cache_gives_what_the_whole_target_gives():
    import torch

    model = tiny_model()
    source, target = torch.randint(0, 19, (3, 7)), torch.randint(0, 19, (3, 9))
    with torch.inference_mode():
        whole = model(input_ids=source, decoder_input_ids=target)
        cache, steps = None, []
        for step in range(target.shape[1]):
            part = target[:, step : step + 1]
            output = model(input_ids=source, decoder_input_ids=part, past_key_values=cache)
            cache = output.past_key_values
            steps.append(output.logits)
    assert cache.get_seq_length() == 9
    assert torch.allclose(torch.cat(steps, dim=1), whole.logits, atol=1e-5)


def test_padding_changes_nothing():
    import torch

    model = tiny_model()
    source = torch.randint(0, 19, (1, 5))
    padded = torch.cat([source, torch.full((1, 4), 19)], dim=1)
    mask = (padded != 19).long()
    target = torch.randint(0, 19, (1, 6))
    with torch.inference_mode():
        alone = model(input_ids=source, decoder_input_ids=target).logits
        beside = model(input_ids=padded, attention_mask=mask, decoder_input_ids=target).logits
    assert torch.allclose(alone, beside, atol=1e-5)


def test_beams_follow_their_own_state():
    import torch

    model = tiny_model()
    source = torch.randint(0, 19, (2, 5))
    options = {"num_beams": 4, "max_new_tokens": 8, "do_sample": False}
    cached = model.generate(source, **options)
    recomputed = model.generate(source, use_cache=False, **options)
    assert torch.equal(cached, recomputed)


def test_labels_give_a_loss_that_learns():
    import torch

    model = tiny_model(layers=1).train()
    source, labels = torch.randint(0, 19, (4, 6)), torch.randint(0, 19, (4, 5))
    labels[0, -2:] = -100
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    losses = []
    for _ in range(30):
        output = model(input_ids=source, labels=labels)
        assert output.past_key_values is None
        losses.append(output.loss.item())
        optimizer.zero_grad()
        output.loss.backward()
        optimizer.step()
    assert losses[-1] < losses[0] / 2
    with pytest.raises(ValueError, match="decoder_input_ids or labels"):
        model(input_ids=source)


@pytest.fixture(scope="module")
def translator():
    architectures.register()
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    folder = store.ensure(PT_EN)
    model, info = AutoModelForSeq2SeqLM.from_pretrained(folder, output_loading_info=True)
    assert not any(info.values())
    return AutoTokenizer.from_pretrained(folder), model


def translate(translator, texts, **options):
    tokenizer, model = translator
    batch = tokenizer(texts, padding=True, return_tensors="pt")
    return tokenizer.batch_decode(model.generate(**batch, **options), skip_special_tokens=True)


def test_the_model_answers_what_the_packages_engine_answers(translator):
    assert translate(translator, PORTUGUESE) == ENGLISH


def test_a_batch_answers_what_single_sentences_answer(translator):
    assert [translate(translator, [text])[0] for text in PORTUGUESE[:3]] == ENGLISH[:3]


def test_beam_search_runs(translator):
    assert translate(translator, PORTUGUESE[:2], num_beams=4) == ENGLISH[:2]


def test_english_to_portuguese():
    architectures.register()
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    folder = store.ensure(EN_PT)
    pair = AutoTokenizer.from_pretrained(folder), AutoModelForSeq2SeqLM.from_pretrained(folder)
    assert translate(pair, ["What is the capital of Brazil?", "The cat sleeps on the sofa."]) == [
        "Qual é a capital do Brasil?",
        "O gato dorme no sofá.",
    ]


def test_the_folder_says_how_to_generate():
    folder = store.ensure(PT_EN)
    config = json.loads((folder / "generation_config.json").read_text())
    assert config["eos_token_id"] == 0 and config["suppress_tokens"] == [1]
    assert config["decoder_start_token_id"] == config["pad_token_id"] == 32000


def test_the_real_file_cut_short_is_refused(tmp_path):
    source = fetch.member(catalog().repository(PT_EN).files[0], folder=tmp_path)
    cut = write(tmp_path, source.read_bytes()[:9_000_000])
    with pytest.raises(ValueError, match="cut short"):
        marian_ssru.read(cut)
