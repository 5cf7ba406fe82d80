"""What a language model needs, and what is said when something goes wrong: all of it real."""

import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from helpers import environment, llm
from helpers.embedded import store
from helpers.errors import CourseError

MODEL = "curso/smollm2-135m-instruct"
ROOT = Path(__file__).parents[2]
SECONDS = 120


def program(code, **variables):
    """Start a Python program as a learner's kernel is: its own process, in the embedded world."""
    search_path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, "-u", "-c", code],
        env={
            **os.environ,
            "COURSE_MODE": "embedded",
            **environment.THREADS_WAIT,  # as helpers.setup() does
            "PYTHONPATH": search_path,
            **variables,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )


def outcome(code, **variables):
    """Run a program to its end; return what its last line says, read as JSON."""
    process = program(code, **variables)
    try:
        written, errors = process.communicate(timeout=SECONDS)
    finally:
        process.kill()
    assert process.returncode == 0, errors[-2000:]
    return json.loads(written.splitlines()[-1])


@pytest.fixture(scope="module")
def tokenizer():
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(store.ensure(MODEL))


# --- the device and the precision ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("device", "capability", "dtype"),
    [
        ("cpu", None, "float32"),
        ("mps", None, "float16"),
        ("cuda", (7, 5), "float16"),  # T4
        ("cuda", (8, 0), "bfloat16"),  # A100
        ("cuda", (8, 9), "bfloat16"),  # L4
        ("cuda", (9, 0), "bfloat16"),  # H100
    ],
)
def test_each_device_has_its_precision_and_a_reason(device, capability, dtype):
    precision = llm.choose_dtype(device, capability)
    assert precision.dtype == dtype and len(precision.reason) > 30
    llm.require_dtype(precision.dtype, device)


def test_float16_on_a_processor_is_refused():
    import torch

    with pytest.raises(CourseError, match="foi feito para GPUs.*float32"):
        llm.require_dtype("float16", "cpu")
    with pytest.raises(CourseError, match="foi feito para GPUs"):
        llm.require_dtype(torch.float16, "cpu")
    with pytest.raises(CourseError, match="float8"):
        llm.require_dtype("float8", "cpu")


def test_no_gpu():
    here = environment.inspect()
    colab = replace(here, where="colab", device="cpu", device_memory_bytes=None)
    with pytest.raises(CourseError, match="menu Ambiente de execução.*GPU T4"):
        llm.require_gpu(colab)
    with pytest.raises(CourseError, match="abra este notebook no Colab"):
        llm.require_gpu(replace(colab, where="local"))


def test_a_gpu_is_described():
    t4 = replace(
        environment.inspect(), device="cuda", device_name="Tesla T4", device_memory_bytes=15 * 10**9
    )
    llm.require_gpu(t4)
    assert "Tesla T4, com 15 GB" in llm.describe_device(t4)


def test_which_models_speak_portuguese():
    assert llm.speaks_portuguese("Qwen/Qwen2.5-7B-Instruct")
    assert not llm.speaks_portuguese("HuggingFaceTB/SmolLM2-135M-Instruct")
    assert not llm.speaks_portuguese(MODEL)


def test_the_quantizer_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(CourseError, match="pip install bitsandbytes"):
        llm.require_quantizer()


WITHOUT_QUANTIZER = """
import json, sys
sys.modules["bitsandbytes"] = None
import helpers
course = helpers.setup()
from transformers import AutoModelForCausalLM, BitsAndBytesConfig
said = []
try:
    with helpers.llm.explained():
        AutoModelForCausalLM.from_pretrained(
            course.model("text-generation"),
            quantization_config=BitsAndBytesConfig(load_in_8bit=True),
        )
except helpers.CourseError as error:
    said.append(str(error))
for model_id, revision in (("curso/nao-existe", "main"), (course.model("text-generation"), "v9")):
    try:
        helpers.llm.memory_estimate(model_id, revision)
    except helpers.CourseError as error:
        said.append(str(error))
    try:
        with helpers.llm.explained(model_id):
            AutoModelForCausalLM.from_pretrained(model_id, revision=revision)
    except helpers.CourseError as error:
        said.append(str(error))
try:
    helpers.llm.memory_estimate("curso/qa-pt", dtype="float8")
except helpers.CourseError as error:
    said.append(str(error))
print(json.dumps(said))
"""


def test_what_transformers_and_the_hub_refuse_is_told_in_words():
    said = outcome(WITHOUT_QUANTIZER)
    assert "pip install bitsandbytes" in said[0]
    assert all("curso/nao-existe não existe no Hub" in sentence for sentence in said[1:3])
    assert all("não na revisão pedida" in sentence for sentence in said[3:5])
    assert "float8" in said[5] and len(said) == 6


class Gated(BaseHTTPRequestHandler):
    """Answers as the Hub does for a gated model: everybody reads its page, not its files."""

    def do_HEAD(self):
        self._answer()

    def do_GET(self):
        self._answer()

    def _answer(self):
        body = b""
        if self.path.startswith("/api/models/"):
            status, commit = 200, "0" * 40
            names = [{"rfilename": name} for name in ("config.json", "model.safetensors")]
            page = {"_id": "1", "id": "dona/modelo", "sha": commit, "siblings": names}
            body = json.dumps({**page, "gated": "manual", "private": False}).encode()
        elif self.path.startswith("/api/"):
            status = 404
        else:
            status = 401
        self.send_response(status)
        if status == 401:
            self.send_header("X-Error-Code", "GatedRepo")
            self.send_header("X-Error-Message", "Access to model dona/modelo is restricted.")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextmanager
def gated_hub():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Gated)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


GATED = """
import json
from helpers import CourseError, llm
from transformers import AutoModelForCausalLM
said = []
try:
    llm.memory_estimate("dona/modelo")
except CourseError as error:
    said.append(str(error))
try:
    with llm.explained("dona/modelo"):
        AutoModelForCausalLM.from_pretrained("dona/modelo")
except CourseError as error:
    said.append(str(error))
print(json.dumps(said))
"""


def test_a_gated_model(tmp_path):
    with gated_hub() as url:
        said = outcome(GATED, HF_ENDPOINT=url, HF_HOME=str(tmp_path), HF_TOKEN="")
    assert len(said) == 2
    assert all("dona/modelo só abre para quem aceitou os termos" in one for one in said)


# --- memory and disk -----------------------------------------------------------------------------

ESTIMATES = """
import json
import helpers
course = helpers.setup()
import torch
from transformers import AutoModelForCausalLM
model_id = course.model("text-generation")
found = {}
for dtype in ("float32", "bfloat16"):
    estimate = helpers.llm.memory_estimate(model_id, dtype=dtype, context_tokens=1024)
    load = lambda: AutoModelForCausalLM.from_pretrained(model_id, dtype=dtype)
    model, weights = helpers.llm.load_measured(load, "cpu")
    ids = torch.arange(1000, 2020)[None]
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    with helpers.measure.peak_memory() as reading:
        model.generate(**inputs, max_new_tokens=4, min_new_tokens=4, do_sample=False)
    with torch.inference_mode():
        cache = model(**{name: tensor[:, :64] for name, tensor in inputs.items()}).past_key_values
    one = helpers.llm.memory_estimate(model_id, dtype=dtype, context_tokens=64)
    found[dtype] = {
        "total": estimate.total_bytes / (weights + reading.bytes),
        "weights": estimate.weights_bytes == sum(w.nbytes for w in model.parameters()),
        "cache": one.cache_bytes == sum(l.keys.nbytes + l.values.nbytes for l in cache.layers),
        "context": helpers.llm.context_length(model),
    }
    del model, cache
many = helpers.llm.memory_estimate(model_id, context_tokens=8192, batch=10**6)
try:
    helpers.llm.require_memory(many, "cpu")
except helpers.CourseError as error:
    found["refused"] = str(error)
helpers.llm.require_memory(one, "cpu")
found["shown"] = repr(estimate)
print(json.dumps(found))
"""


def test_estimates_against_what_is_measured():
    found = outcome(ESTIMATES)
    for dtype in ("float32", "bfloat16"):
        assert found[dtype]["total"] == pytest.approx(1, abs=0.10), dtype
        assert found[dtype]["weights"] and found[dtype]["cache"]
        assert found[dtype]["context"] == 8192
    assert MODEL in found["refused"] and "Escolha um modelo menor" in found["refused"]
    assert "1.024 tokens" in found["shown"] and "269" in found["shown"]


QUANTIZED = """
import json
import helpers
course = helpers.setup()
helpers.llm.require_quantizer()
from transformers import AutoModelForCausalLM, BitsAndBytesConfig
model_id = course.model("text-generation")
configs = {"int8": dict(load_in_8bit=True),
           "int4": dict(load_in_4bit=True, bnb_4bit_quant_type="nf4")}
found = {}
for name, config in configs.items():
    model = AutoModelForCausalLM.from_pretrained(
        model_id, dtype="bfloat16", quantization_config=BitsAndBytesConfig(**config)
    )
    estimate = helpers.llm.memory_estimate(model_id, dtype="bfloat16", quantization=name)
    found[name] = estimate.weights_bytes / model.get_memory_footprint()
print(json.dumps(found))
"""


def test_estimates_of_quantized_models():
    pytest.importorskip("bitsandbytes")
    found = outcome(QUANTIZED)
    assert found == {
        "int8": pytest.approx(1, abs=0.10),
        "int4": pytest.approx(1, abs=0.10),
    }


@pytest.mark.parametrize(
    "arguments", [{"quantization": "int3"}, {"context_tokens": 0}, {"batch": 0}, {"dtype": "int8"}]
)
def test_estimates_refuse_what_makes_no_sense(arguments):
    with pytest.raises(CourseError, match="Use uma destas|maiores que zero"):
        llm.memory_estimate(MODEL, **arguments)


def test_the_disk_is_too_small(tmp_path):
    with pytest.raises(CourseError, match="GB livres no disco.*hf cache ls"):
        llm.require_disk(10**18, tmp_path / "not" / "there yet")
    llm.require_disk(1, tmp_path)
    llm.require_disk(0)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is full")
def test_the_disk_fills_up():
    with pytest.raises(CourseError, match="O disco encheu"), llm.explained():
        Path("/dev/full").write_bytes(b"weights")


# --- conversations -------------------------------------------------------------------------------

CHAT = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "What is the capital of France?"},
    {"role": "assistant", "content": "Paris."},
    {"role": "user", "content": "And of Japan?"},
]


def test_a_conversation_that_fits_is_left_alone(tokenizer):
    count = llm.count_tokens(CHAT, tokenizer)
    assert llm.fit_context(CHAT, tokenizer, context_tokens=count + 10, new_tokens=10) == CHAT


def test_a_text_is_not_a_conversation(tokenizer):
    with pytest.raises(CourseError, match="lista de mensagens"):
        llm.count_tokens("What is the capital of France?", tokenizer)


def test_the_oldest_messages_go_first(tokenizer):
    count = llm.count_tokens(CHAT, tokenizer)
    short = llm.fit_context(CHAT, tokenizer, context_tokens=count + 9, new_tokens=10)
    assert short == [CHAT[0], CHAT[3]]  # no answer without its question
    assert llm.count_tokens(short, tokenizer) + 10 <= count + 9


def test_a_prompt_over_the_context_length(tokenizer):
    message = [{"role": "user", "content": "water " * 300}]
    with pytest.raises(CourseError, match=r"só guarda 200 ao todo.*fit_context"):
        llm.fit_context(message, tokenizer, context_tokens=200, new_tokens=10)
    with pytest.raises(CourseError, match=r"8\.190 tokens"):
        llm.require_context(8190, 3, 8192)
    llm.require_context(8190, 2, 8192)


INTERRUPTED = """
import json
import helpers
from helpers.embedded import store
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM
tokenizer = AutoTokenizer.from_pretrained(store.ensure("curso/smollm2-135m-instruct"))
# Random weights write nonsense without end, which is what is needed here.
model = LlamaForCausalLM(LlamaConfig(
    vocab_size=len(tokenizer), hidden_size=64, intermediate_size=64, num_hidden_layers=1,
    num_attention_heads=2, max_position_embeddings=100_000, eos_token_id=None,
))
inputs = tokenizer("The sea", return_tensors="pt")
with helpers.llm.writer(tokenizer) as writing:
    model.generate(**inputs, max_new_tokens=50_000, do_sample=True, streamer=writing)
again = model.generate(**inputs, max_new_tokens=5, do_sample=False)
with helpers.llm.writer(tokenizer) as whole:
    model.generate(**inputs, max_new_tokens=5, do_sample=False, streamer=whole)
print()
print(json.dumps({
    "interrupted": writing.interrupted,
    "kept": writing.text,
    "again": tokenizer.decode(again[0, inputs["input_ids"].shape[1]:]),
    "whole": [whole.text, whole.interrupted],
}))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="a console of its own is needed for Ctrl-C")
def test_an_interrupted_generation_keeps_its_text_and_the_kernel():
    process = program(INTERRUPTED)
    try:
        shown = process.stdout.read(8)  # it is writing
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=SECONDS)
    finally:
        process.kill()
    assert process.returncode == 0, errors[-2000:]
    found = json.loads(rest.splitlines()[-1])
    assert found["interrupted"] and found["kept"].startswith(shown)
    assert "[Interrompido." in rest
    assert len(found["kept"]) < 200_000
    assert found["whole"] == [found["again"], False]


# --- when the memory is over ---------------------------------------------------------------------

OUT_OF_MEMORY = """
import json, resource, weakref
import torch
from helpers import CourseError, llm

limit = resource.getrlimit(resource.RLIMIT_AS)
held = []

def greedy():
    first = torch.ones(25_000_000)
    held.append(weakref.ref(first))
    return first, torch.empty(500_000_000)

found = {}
with llm.memory_limit(10**9, "cpu") as room:
    found["room"] = room.bytes
    found["fits"] = torch.empty(room.bytes // 8).nbytes
    try:
        greedy()
    except RuntimeError as error:
        found["explained"] = llm.explain(error)
    try:
        with llm.explained():
            greedy()
    except CourseError as error:
        found["told"] = str(error)
        found["let go while the error is shown"] = held[-1]() is None
llm.free_memory()
found["limit is back"] = resource.getrlimit(resource.RLIMIT_AS) == limit
found["works again"] = torch.empty(500_000_000).nbytes
print(json.dumps(found))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits a process's memory")
def test_out_of_memory_is_refused_explained_and_survived():
    found = outcome(OUT_OF_MEMORY)
    assert found["room"] == 10**9 and found["fits"] == 5 * 10**8
    for sentence in (found["explained"], found["told"]):
        assert "negou memória" in sentence and "2,00 GB" in sentence
        assert "Não é preciso reiniciar" in sentence
    assert found["let go while the error is shown"] and found["limit is back"]
    assert found["works again"] == 2 * 10**9


@pytest.mark.gpu
def test_out_of_gpu_memory_is_explained_and_survived():
    import torch

    before = torch.cuda.memory_allocated()
    with pytest.raises(CourseError, match="A memória da GPU acabou"), llm.explained():
        torch.empty(2 * torch.cuda.get_device_properties(0).total_memory, device="cuda").char()
    llm.free_memory()
    assert torch.cuda.memory_allocated() == before
    assert torch.ones(4, device="cuda").sum().item() == 4


@pytest.mark.gpu
def test_the_gpu_is_too_small():
    huge = llm.MemoryEstimate("dona/modelo", "bfloat16", 1, 10**15, 0, 0, 0)
    with pytest.raises(CourseError, match="a GPU tem"):
        llm.require_memory(huge, "cuda")
    assert llm.free_memory_bytes("cuda") > 0


def test_other_errors_stay_as_they_are():
    with pytest.raises(ZeroDivisionError), llm.explained():
        1 / 0  # noqa: B018
    assert llm.explain(ValueError("other")) == "ValueError: other"
    with pytest.raises(CourseError, match="^told$"), llm.explained():
        raise CourseError("told")


def test_the_last_error_lets_go_of_what_it_held(monkeypatch):
    import weakref

    class Tensor:
        pass

    references = []

    def fail():
        tensor = Tensor()
        references.append(weakref.ref(tensor))
        raise RuntimeError

    try:
        fail()
    except RuntimeError as error:
        # As a notebook does with the error of a cell.
        monkeypatch.setattr(sys, "last_value", error, raising=False)
    assert references[0]() is not None
    llm.free_memory()
    assert references[0]() is None
