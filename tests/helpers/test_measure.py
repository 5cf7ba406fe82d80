"""Time and memory."""

import subprocess
import sys
import time

import pytest

from helpers import measure
from helpers.errors import CourseError


def test_latency_of_a_known_wait():
    timing = measure.latency(lambda: time.sleep(0.01), repeats=5, warmup=1)
    assert 0.01 <= timing.low <= timing.median <= timing.high < 0.1
    assert timing.repeats == 5


def test_warm_up_is_not_measured():
    calls = []

    def slow_at_first():
        calls.append(None)
        time.sleep(0.2 if len(calls) <= 2 else 0)

    assert measure.latency(slow_at_first, repeats=10, warmup=2).high < 0.1
    assert len(calls) == 12


def test_summary_of_known_times():
    timing = measure.timing([i / 1000 for i in range(11)])
    assert (timing.median, timing.low, timing.high) == pytest.approx((0.005, 0.001, 0.009))
    assert str(timing) == "5,0 ms (de 1,0 a 9,0 ms em 11 medidas)"
    assert measure.timing([0.2]).high == 0.2


def test_nothing_to_repeat():
    with pytest.raises(CourseError, match="repeats=1"):
        measure.latency(lambda: None, repeats=0)


def test_compare_draws_milliseconds():
    pytest.importorskip("matplotlib")
    chart = measure.compare(
        {"local": measure.Timing(0.02, 0.015, 0.03, 20), "API": measure.Timing(0.1, 0.09, 0.2, 20)}
    )
    assert "local: 20,0 ms (de 15,0 ms a 30,0 ms)" in chart.alt
    assert "API: 100,0 ms (de 90,0 ms a 200,0 ms)" in chart.alt


def test_peak_memory_grows_with_what_is_held():
    code = (
        "from helpers.measure import peak_memory_bytes as peak; before = peak();"
        "block = bytearray(b'x') * 80_000_000; print(before, peak())"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    before, after = map(int, result.stdout.split())
    assert 5e6 < before < 2e8 and 70e6 < after - before < 120e6


def test_memory_of_weights_is_their_size(tmp_path):
    from safetensors.torch import load_file, save_file
    from torch import nn, ones

    save_file({"weight": ones(4096, 4096)}, tmp_path / "model.safetensors")

    def load():
        model = nn.Linear(4096, 4096, bias=False)
        model.load_state_dict(load_file(tmp_path / "model.safetensors"), assign=True)
        return model

    assert measure.weights_memory_bytes(load) == pytest.approx(4096 * 4096 * 4, rel=0.05)


def test_bandwidth_is_of_this_world():
    pytest.importorskip("torch")
    found = measure.memory_bandwidth(size_bytes=64 * 2**20)
    assert 1e8 < found < 1e13  # bytes a second: a slow, busy machine; ten terabytes


def test_peak_memory_of_a_block_that_lets_go():
    with measure.peak_memory() as memory:
        block = bytearray(b"x") * 120_000_000
        time.sleep(0.05)
        del block
    assert memory.bytes == pytest.approx(120e6, rel=0.15)


def test_peak_memory_is_told_after_an_error():
    memory = measure.peak_memory()
    with pytest.raises(ValueError), memory:
        block = bytearray(b"x") * 60_000_000
        time.sleep(0.05)
        raise ValueError(len(block))
    assert memory.bytes > 50e6


def llama(**changes):
    transformers = pytest.importorskip("transformers")
    sizes = {"vocab_size": 96, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 128}
    config = transformers.LlamaConfig(**sizes, **heads, **changes)
    return transformers.LlamaForCausalLM(config).eval()


def test_weights_read_for_a_token():
    apart, tied = llama(tie_word_embeddings=False), llama(tie_word_embeddings=True)
    buffers = sum(buffer.nbytes for buffer in apart.buffers())
    table = 96 * 32 * 4  # one row of it is read, or all of it where it is the output too
    every = sum(weights.nbytes for weights in apart.parameters())
    assert measure.weights_read_per_token(apart) == every - table + buffers
    assert measure.weights_read_per_token(tied) == every - table + buffers
    assert measure.weights_read_per_token(apart.half()) < (every - table) / 2 + 2 * buffers


def test_weights_of_a_model_that_is_not_loaded():
    torch = pytest.importorskip("torch")
    here = measure.weights_read_per_token(llama(tie_word_embeddings=True))
    with torch.device("meta"):
        planned = llama(tie_word_embeddings=True)
    planned.tie_weights()
    assert measure.weights_read_per_token(planned) == here


def test_an_encoder_is_not_read_for_each_token():
    transformers = pytest.importorskip("transformers")
    config = transformers.MarianConfig(
        vocab_size=64, d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32, pad_token_id=0,
        eos_token_id=1, decoder_start_token_id=0, max_position_embeddings=32,
    )  # fmt: skip
    model = transformers.MarianMTModel(config)
    encoder = sum(weights.nbytes for weights in model.get_encoder().layers.parameters())
    every = sum(weights.nbytes for weights in model.parameters())
    assert 0 < measure.weights_read_per_token(model) <= every - encoder


def test_limit_is_bandwidth_over_bytes():
    assert measure.decoding_limit(250_000_000, 25e9) == 100


@pytest.mark.parametrize("options", [{}, {"cache_implementation": "static"}])
def test_decoding_writes_all_tokens_past_any_end(options):
    torch = pytest.importorskip("torch")
    model = llama()
    model.generation_config.eos_token_id = list(range(95))  # whatever comes would end the text
    asked = []
    generate = model.generate
    model.generate = lambda *args, **more: asked.append(generate(*args, **more)) or asked[-1]
    inputs = {"input_ids": torch.tensor([[5, 17, 3], [4, 2, 6]])}
    result = measure.decoding(model, inputs, new_tokens=7, repeats=2, **options)
    assert [ids.shape for ids in asked] == [(2, 10)] * 3
    assert (result.tokens, result.sequences) == (7, 2)
    assert result.tokens_per_second == pytest.approx(2 / result.seconds_per_token)
    assert 0 < result.first_token_seconds < 60


def test_decoding_in_words():
    told = str(measure.Decoding(0.25, 0.02, 64))
    assert told == "50,0 tokens por segundo (primeiro token em 250 ms)"


def test_roofline_tells_share_and_limit():
    pytest.importorskip("matplotlib")
    chart = measure.roofline({"float32": 20, "bfloat16": 61}, {"float32": 40, "bfloat16": 80})
    assert "float32: 20,0 tokens/s (50 % do limite), que é 40,0" in chart.alt
    assert "bfloat16: 61,0 tokens/s (76 % do limite), que é 80,0" in chart.alt
    assert chart.png().startswith(b"\x89PNG")
    assert "(25 % do limite)" in measure.roofline({"a": 25}, 100).alt


class Weightless:
    """What `weights_read_per_token` asks of a model, with nothing in it."""

    def parameters(self):
        return iter(())

    buffers = modules = parameters


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: measure.memory_bandwidth(size_bytes=0), "vieram 0 bytes"),
        (lambda: measure.memory_bandwidth(size_bytes=-5), "vieram -5 bytes"),
        (lambda: measure.memory_bandwidth(size_bytes=2**50), "use um size_bytes menor"),
        (lambda: measure.memory_bandwidth("gpu"), "dispositivo gpu"),
        (lambda: measure.synchronize("xpu"), "dispositivo xpu"),
        (lambda: measure.peak_memory("turbo"), "dispositivo turbo"),
        (lambda: measure.latency(int, repeats=1, device="tpu"), "dispositivo tpu"),
        (lambda: measure.weights_read_per_token(Weightless()), "não tem pesos"),
        (lambda: measure.decoding_limit(0, 1e9), "maiores que zero"),
        (lambda: measure.decoding_limit(10, 0), "maiores que zero"),
        (lambda: measure.decoding(None, {}, repeats=0), "repeats=1"),
        (lambda: measure.decoding(None, {}, new_tokens=1), "ao menos 2"),
        (lambda: measure.decoding(None, {}), "input_ids"),
        (lambda: measure.roofline({}, 10), "ao menos uma medida"),
        (lambda: measure.roofline({"a": 0}, 10), "maiores que zero"),
        (lambda: measure.roofline({"a": 1, "b": 2}, {"a": 3}), "Falta o limite de: b"),
    ],
)
def test_bad_requests_are_told(call, says):
    pytest.importorskip("torch")
    with pytest.raises(CourseError, match=f"(?i){says}"):
        call()


def test_no_gpu_is_told_with_the_way_out():
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    with pytest.raises(CourseError, match="no Colab: menu"):
        measure.memory_bandwidth("cuda")
    if not torch.backends.mps.is_available():
        with pytest.raises(CourseError, match="Apple"):
            measure.synchronize("mps")
