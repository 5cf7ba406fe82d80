import json
import struct

import numpy as np
import pytest

from helpers.embedded import fetch, store
from helpers.embedded.catalog import catalog
from helpers.embedded.recipes import whisper

WHISPER = "curso/whisper-base"
WIDTH, HIDDEN, VOCABULARY, BANDS, FRAMES, TARGET = 4, 8, 12, 80, 1500, 448


def text(value):
    raw = value.encode() + b"\0"
    return struct.pack("<H", len(raw)) + raw


def tensor(name, values, kind):
    raw = values.tobytes()
    shape = struct.pack(f"<B{values.ndim}I", values.ndim, *values.shape)
    return text(name) + shape + struct.pack("<BI", kind, len(raw)) + raw


def half(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("<f2")


def tiny_tensors():
    """One layer each side, named and stacked as CTranslate2 does."""
    tensors = {
        "encoder/num_heads": np.array(2, "<i2"),
        "decoder/num_heads": np.array(2, "<i2"),
        "decoder/pre_norm": np.array(1, "<i1"),
        "decoder/alignment_heads": np.array(1, "<i2"),
        "encoder/conv1/weight": half(WIDTH, BANDS, 3),
        "encoder/conv1/bias": half(WIDTH),
        "encoder/conv2/weight": half(WIDTH, WIDTH, 3),
        "encoder/conv2/bias": half(WIDTH),
        "encoder/position_encodings/encodings": half(FRAMES, WIDTH),
        "decoder/position_encodings/encodings": half(TARGET, WIDTH),
        "decoder/embeddings/weight": half(VOCABULARY, WIDTH),
    }
    for stack in ("encoder", "decoder"):
        tensors |= norm(f"{stack}/layer_norm") | norm(f"{stack}/layer_0/ffn/layer_norm")
        tensors |= linear(f"{stack}/layer_0/ffn/linear_0", HIDDEN, WIDTH)
        tensors |= linear(f"{stack}/layer_0/ffn/linear_1", WIDTH, HIDDEN)
        tensors |= norm(f"{stack}/layer_0/self_attention/layer_norm")
        tensors |= linear(f"{stack}/layer_0/self_attention/linear_0", 3 * WIDTH, WIDTH)
        tensors |= linear(f"{stack}/layer_0/self_attention/linear_1", WIDTH, WIDTH)
        tensors[f"{stack}/layer_0/self_attention/linear_0/bias"][WIDTH : 2 * WIDTH] = 0
    attention = "decoder/layer_0/attention"
    tensors |= norm(f"{attention}/layer_norm") | linear(f"{attention}/linear_0", WIDTH, WIDTH)
    tensors |= linear(f"{attention}/linear_1", 2 * WIDTH, WIDTH)
    tensors |= linear(f"{attention}/linear_2", WIDTH, WIDTH)
    tensors[f"{attention}/linear_1/bias"][:WIDTH] = 0
    return tensors


def norm(name):
    return {f"{name}/gamma": half(WIDTH, seed=1), f"{name}/beta": half(WIDTH, seed=2)}


def linear(name, rows, columns):
    return {f"{name}/weight": half(rows, columns, seed=3), f"{name}/bias": half(rows, seed=4)}


def pack(tensors, version=6, name="WhisperSpec", kinds=None):
    kinds = kinds or {"float16": 4, "float32": 0, "int16": 2, "int8": 1}
    body = b"".join(tensor(key, value, kinds[str(value.dtype)]) for key, value in tensors.items())
    start = struct.pack("<I", version) + text(name) + struct.pack("<II", 3, len(tensors))
    alias = text("decoder/projection/weight") + text("decoder/embeddings/weight")
    return start + body + struct.pack("<I", 1) + alias


@pytest.fixture
def beside(tmp_path):
    """Small files like those beside the real model: a tokenizer and CTranslate2's settings."""
    names = ["<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|pt|>", "<|translate|>"]
    names += ["<|transcribe|>", "<|startofprev|>", "<|notimestamps|>"]
    added = [{"content": name, "id": 4 + at, "special": True} for at, name in enumerate(names)]
    tokenizer, settings = tmp_path / "tokenizer.json", tmp_path / "config.json"
    tokenizer.write_text(json.dumps({"added_tokens": added}))
    settings.write_text(
        json.dumps(
            {
                "alignment_heads": [[0, 1]],
                "lang_ids": [6, 7],
                "suppress_ids": [1, 2],
                "suppress_ids_begin": [3],
            }
        )
    )
    return tokenizer, settings


def test_a_tiny_model_loads_strictly_and_twice_alike(tmp_path, beside):
    from transformers import AutoModelForSpeechSeq2Seq

    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
        whisper.write(whisper.read(pack(tiny_tensors())), *beside, folder)
    for path in folders[0].iterdir():
        assert path.read_bytes() == (folders[1] / path.name).read_bytes(), path.name
    model, info = AutoModelForSpeechSeq2Seq.from_pretrained(folders[0], output_loading_info=True)
    assert not any(info.values())
    assert str(model.dtype) == "torch.float32"
    stacked = half(3 * WIDTH, WIDTH, seed=3).astype("f4")
    attention = model.model.encoder.layers[0].self_attn
    for at, projection in enumerate((attention.q_proj, attention.k_proj, attention.v_proj)):
        weight = projection.weight.detach().numpy()
        assert np.array_equal(weight, stacked[at * WIDTH : (at + 1) * WIDTH])
    assert model.proj_out.weight is model.model.decoder.embed_tokens.weight
    generation = model.generation_config
    assert generation.lang_to_id == {"<|en|>": 6, "<|pt|>": 7}
    assert generation.task_to_id == {"transcribe": 9, "translate": 8}


def test_every_number_format_is_read():
    tensors = {
        "a": np.arange(3, dtype="<f4"),
        "b": np.arange(3, dtype="<i1"),
        "c": np.array([[1, -2]], dtype="<i2"),
        "d": half(2, 2),
    }
    found = whisper.read(pack(tensors))
    for name, values in tensors.items():
        assert found[name].dtype == values.dtype and np.array_equal(found[name], values)


@pytest.mark.parametrize("size", [0, 3, 20, 40, 200, 3000, 20_000])
def test_a_file_cut_short_is_refused(size):
    with pytest.raises(ValueError, match="cut short|altered"):
        whisper.read(pack(tiny_tensors())[:size])


def test_another_format_is_refused():
    for data in (pack({}, version=5), pack({}, name="TransformerSpec"), b"GGUF" + bytes(100)):
        with pytest.raises(ValueError, match="not a WhisperSpec"):
            whisper.read(data)
    with pytest.raises(ValueError, match="unknown type 9"):
        whisper.read(pack({"a": half(2)}, kinds={"float16": 9}))
    with pytest.raises(ValueError, match="size that it declares"):
        whisper.read(pack({"a": half(2)}, kinds={"float16": 0}))


def test_weights_without_a_place_are_refused():
    with pytest.raises(ValueError, match="no place"):
        whisper.state_dict({"encoder/layer_0/adapter/weight": half(2, 2)})
    with pytest.raises(ValueError, match="not zero"):
        whisper.state_dict(linear("encoder/layer_0/self_attention/linear_0", 3 * WIDTH, WIDTH))


def test_parts_of_another_model_are_refused(tmp_path, beside):
    first, second = tmp_path / "part1", tmp_path / "part2"
    data = pack(tiny_tensors())
    first.write_bytes(data[:1000])
    second.write_bytes(data[1000:])
    with pytest.raises(ValueError, match="expected model.bin"):
        whisper.build(first, second, *beside, tmp_path)
    assert not (tmp_path / "model.safetensors").exists()


def test_the_real_parts_in_the_wrong_order_are_refused(tmp_path):
    first, second, tokenizer, settings = catalog().repository(WHISPER).files
    paths = [fetch.member(file, folder=tmp_path) for file in (second, first, tokenizer, settings)]
    with pytest.raises(ValueError, match="expected model.bin"):
        whisper.build(*paths, tmp_path)


@pytest.fixture(scope="module")
def pipe():
    from transformers import pipeline

    return pipeline("automatic-speech-recognition", model=str(store.ensure(WHISPER)), device="cpu")


def test_the_folder_is_what_whisper_expects(pipe):
    assert type(pipe.model).__name__ == "WhisperForConditionalGeneration"
    assert str(pipe.model.dtype) == "torch.float32"
    config = pipe.model.generation_config
    assert (config.eos_token_id, config.decoder_start_token_id) == (50257, 50258)
    assert config.lang_to_id["<|pt|>"] == 50267 and len(config.lang_to_id) == 99
    assert config.task_to_id == {"transcribe": 50359, "translate": 50358}
    assert config.no_timestamps_token_id == 50363
    assert pipe.tokenizer.convert_tokens_to_ids("<|0.00|>") == 50364
    assert pipe.tokenizer.all_special_ids[-1] == 50363
    ids = pipe.tokenizer("Ação! 2026").input_ids
    assert pipe.tokenizer.decode(ids, skip_special_tokens=True) == "Ação! 2026"


def test_encoder_positions_are_the_analytic_ones(pipe):
    positions = pipe.model.model.encoder.embed_positions.weight.detach().numpy()
    exponents = np.exp(-np.log(10000) / 255 * np.arange(256))
    angles = np.arange(1500)[:, None] * exponents
    expected = np.concatenate([np.sin(angles), np.cos(angles)], axis=1)
    assert np.abs(positions - expected).max() < 1e-3


def test_every_way_of_asking_runs_and_is_bounded(pipe):
    noise = np.random.default_rng(0).normal(0, 0.1, 16000).astype(np.float32)
    short = {"max_new_tokens": 4, "num_beams": 1}
    assert isinstance(pipe(noise, generate_kwargs=short)["text"], str)
    answer = pipe(
        {"raw": noise, "sampling_rate": 16000},
        return_timestamps=True,
        generate_kwargs={**short, "language": "pt", "task": "transcribe"},
    )
    assert set(answer) == {"text", "chunks"}
    translate = {**short, "language": "en", "task": "translate"}
    assert isinstance(pipe(noise, generate_kwargs=translate)["text"], str)
