"""The compiled step writes what plain greedy ``generate`` writes, and says what it cannot do."""

import shutil

import pytest

from helpers import decoding, measure
from helpers.errors import CourseError

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

PROMPT = [[5, 17, 3, 90, 41]]


def tiny_model(**changes):
    """A Llama of a few thousand random weights; no token ends its texts."""
    torch.manual_seed(0)
    sizes = {"vocab_size": 96, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 128}
    ends = {"eos_token_id": None, "bos_token_id": None, "pad_token_id": None}
    config = transformers.LlamaConfig(**sizes, **heads, **ends, **changes)
    return transformers.LlamaForCausalLM(config).eval()


def greedy(model, count):
    return model.generate(torch.tensor(PROMPT), do_sample=False, max_new_tokens=count).tolist()


@pytest.fixture(scope="module")
def attentions():
    """The shapes of the keys of each attention that the compiler was given as sums."""
    return []


@pytest.fixture(scope="module")
def compiled(attentions):
    if not shutil.which("g++") and not shutil.which("c++") and not shutil.which("cl"):
        pytest.skip("needs a C++ compiler")
    as_sums = decoding._attend_with_one

    def noted(query, key, value, **options):
        attentions.append(tuple(key.shape))
        return as_sums(query, key, value, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoding, "_attend_with_one", noted)
        return decoding.compile_for_decoding(tiny_model(tie_word_embeddings=True), max_length=48)


@pytest.fixture
def uncompiled(monkeypatch):
    def refuse(*_, **__):
        def step(*_):
            raise RuntimeError("No working C++ compiler found\nand more")

        return step

    monkeypatch.setattr(torch, "compile", refuse)
    return decoding.compile_for_decoding(tiny_model(), max_length=48)


def test_tokens_are_those_of_generate(compiled):
    assert compiled.note == ""
    expected = greedy(tiny_model(tie_word_embeddings=True), 20)
    assert compiled.generate(torch.tensor(PROMPT), max_new_tokens=20).tolist() == expected
    # Again, with the same cache, and a prompt of another length.
    assert compiled.generate(torch.tensor(PROMPT), max_new_tokens=20).tolist() == expected
    longer = torch.tensor([PROMPT[0] * 3])
    plain = compiled.model.generate(longer, do_sample=False, max_new_tokens=9)
    assert compiled.generate(longer, max_new_tokens=9).tolist() == plain.tolist()


def test_without_a_compiler_it_works_and_says_why(uncompiled):
    assert "No working C++ compiler found" in uncompiled.note
    assert "and more" not in uncompiled.note and repr(uncompiled) == uncompiled.note
    assert uncompiled.generate(torch.tensor(PROMPT), max_new_tokens=8).tolist() == greedy(
        tiny_model(), 8
    )


def test_it_stops_where_generate_stops(uncompiled):
    whole = uncompiled.generate(torch.tensor(PROMPT), max_new_tokens=8)[0].tolist()
    end = whole[7]
    stopped = uncompiled.generate(torch.tensor(PROMPT), max_new_tokens=8, eos_token_id=end)
    assert stopped[0].tolist() == whole[: whole.index(end, 5) + 1]
    uncompiled.model.generation_config.eos_token_id = [end, 95]
    assert uncompiled.generate(torch.tensor(PROMPT), max_new_tokens=8).tolist() == stopped.tolist()


def test_streamer_and_stopping_criteria(uncompiled):
    class Streamer:
        seen = []

        def put(self, ids):
            self.seen.extend(ids.flatten().tolist())

        def end(self):
            self.seen.append("end")

    streamer = Streamer()
    ids = uncompiled.generate(
        torch.tensor(PROMPT),
        torch.ones(1, 5),
        max_new_tokens=9,
        streamer=streamer,
        stopping_criteria=[lambda ids, _: torch.tensor([ids.shape[1] >= 8])],
    )
    assert ids.shape == (1, 8) and streamer.seen == [*ids[0].tolist(), "end"]


def test_measured_like_a_model(uncompiled):
    result = measure.decoding(uncompiled, {"input_ids": torch.tensor(PROMPT)}, new_tokens=6)
    assert result.tokens == 6 and 0 < result.seconds_per_token < 1


@pytest.mark.parametrize(
    ("ids", "options", "says"),
    [
        ([[1, 2], [3, 4]], {}, "um texto por vez"),
        ([[]], {}, "Não há texto"),
        (PROMPT, {"do_sample": True}, "do_sample=False"),
        (PROMPT, {"max_new_tokens": 0}, "max_new_tokens=0"),
        (PROMPT, {"max_new_tokens": 44}, "o cache tem lugar para 48"),
        (PROMPT, {"attention_mask": torch.tensor([[0, 1, 1, 1, 1]])}, "padding"),
    ],
)
def test_bad_requests_are_told(uncompiled, ids, options, says):
    with pytest.raises(CourseError, match=says):
        uncompiled.generate(torch.tensor(ids, dtype=torch.long), **options)
    assert uncompiled.generate(torch.tensor(PROMPT), max_new_tokens=2).shape == (1, 7)


@pytest.mark.parametrize("length", [0, 5, 129])
def test_a_length_that_makes_no_sense(length):
    with pytest.raises(CourseError, match=f"max_length={length}"):
        decoding.compile_for_decoding(tiny_model(), max_length=length)


def test_a_model_with_a_sliding_window():
    config = transformers.MistralConfig(
        vocab_size=96, hidden_size=32, intermediate_size=64, num_hidden_layers=1,
        num_attention_heads=4, num_key_value_heads=2, sliding_window=8,
    )  # fmt: skip
    with pytest.raises(CourseError, match="MistralForCausalLM"):
        decoding.compile_for_decoding(transformers.MistralForCausalLM(config), max_length=48)


def test_large_pages_change_no_weight():
    model = tiny_model(tie_word_embeddings=True).bfloat16()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    decoding._use_large_pages(model)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert model.lm_head.weight.data_ptr() == model.model.embed_tokens.weight.data_ptr()


def test_a_row_times_a_matrix_as_a_sum():
    torch.manual_seed(0)
    weight, bias = torch.randn(24, 16).bfloat16(), torch.randn(24).bfloat16()
    x = torch.randn(1, 1, 16).bfloat16()
    expected = torch.nn.functional.linear(x.double(), weight.double(), bias.double())
    assert torch.allclose(decoding._row_by_row(x, weight, bias).double(), expected, atol=0.05)
    assert decoding._row_by_row(x, weight).shape == (1, 1, 24)


def test_attention_of_one_token_as_sums(compiled, attentions):
    assert compiled.note == ""
    assert set(attentions) == {(1, 4, 48, 8)} and len(attentions) >= 2  # each layer, at least once
    query, key, value = (torch.randn(1, 4, length, 8) for length in (1, 48, 48))
    visible = torch.arange(48)[None, None, None] < 20
    attend = torch.nn.functional.scaled_dot_product_attention
    for scale in (None, 0.3):
        expected = attend(query, key, value, attn_mask=visible, scale=scale)
        found = decoding._attend_with_one(query, key, value, visible, scale=scale)
        torch.testing.assert_close(found, expected)


def test_weights_in_8_bits_are_close_and_a_quarter_of_the_bytes():
    model = tiny_model()
    before = measure.weights_read_per_token(model)
    linear = model.model.layers[0].mlp.up_proj
    x = torch.randn(3, 32)
    expected = linear(x)
    assert decoding.int8_weights(model) is model
    found = model.model.layers[0].mlp.up_proj(x)
    assert (found - expected).abs().max() < 0.01 * expected.abs().max()
    assert 0.25 < measure.weights_read_per_token(model) / before < 0.32
    assert model.generate(torch.tensor(PROMPT), max_new_tokens=4).shape == (1, 9)


def test_nothing_left_to_keep_in_8_bits():
    model = decoding.int8_weights(tiny_model())
    with pytest.raises(CourseError, match="camadas lineares"):
        decoding.int8_weights(model)
