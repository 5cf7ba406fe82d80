"""What only a CUDA device can show; skipped without one."""

import pytest

from helpers import decoding, measure

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.gpu
MIB = 2**20


@pytest.fixture(scope="module")
def model():
    """A Llama of 1.2 billion random weights: speed does not depend on what the weights say."""
    from transformers import AutoModelForCausalLM, LlamaConfig

    config = LlamaConfig(
        vocab_size=128256, hidden_size=2048, intermediate_size=8192, num_hidden_layers=16,
        num_attention_heads=32, num_key_value_heads=8, head_dim=64, tie_word_embeddings=True,
        max_position_embeddings=4096, eos_token_id=None, bos_token_id=None, pad_token_id=None,
    )  # fmt: skip
    with torch.device("cuda"):
        yield AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16).eval()
    torch.cuda.empty_cache()


@pytest.fixture(scope="module")
def inputs():
    return {"input_ids": torch.arange(32, device="cuda")[None]}


def test_the_gpu_reads_its_memory_faster_than_the_processor():
    gpu = measure.memory_bandwidth("cuda")
    # The slowest GPU that courses meet, a T4, reads over 200 GB/s; none reads 20 TB/s.
    assert 1e11 < gpu < 2e13
    assert gpu > measure.memory_bandwidth("cpu")


def test_peak_memory_is_what_the_tensors_took():
    held = torch.ones(16 * MIB, device="cuda")
    with measure.peak_memory("cuda") as memory:
        block = torch.empty(64 * MIB, dtype=torch.uint8, device="cuda")
        del block
    assert memory.bytes == pytest.approx(64 * MIB, rel=0.01)
    del held


def test_latency_waits_for_the_gpu():
    matrix = torch.randn(4096, 4096, device="cuda")

    def work():
        for _ in range(20):
            matrix @ matrix

    waited = measure.latency(work, repeats=5, device="cuda").median
    not_waited = measure.latency(work, repeats=5).median
    torch.cuda.synchronize()
    assert waited > 2 * not_waited


def test_a_gpu_that_is_not_there():
    from helpers.errors import CourseError

    with pytest.raises(CourseError, match="cuda:99"):
        measure.synchronize("cuda:99")


def test_compiled_step_reaches_60_percent_of_the_limit(model, inputs):
    read = measure.weights_read_per_token(model)
    limit = measure.decoding_limit(read, measure.memory_bandwidth("cuda", size_bytes=read))
    compiled = decoding.compile_for_decoding(model)
    assert compiled.note == ""
    found = measure.decoding(compiled, inputs, new_tokens=128)
    assert found.tokens_per_second >= 0.6 * limit


def test_the_gpu_writes_20_times_faster_than_the_processor(model, inputs):
    import copy

    on_gpu = measure.decoding(decoding.compile_for_decoding(model), inputs, new_tokens=64)
    slow = copy.deepcopy(model).to("cpu")
    on_cpu = measure.decoding(slow, {"input_ids": inputs["input_ids"].cpu()}, new_tokens=8)
    assert on_gpu.tokens_per_second >= 20 * on_cpu.tokens_per_second
