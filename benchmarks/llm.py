"""How fast a language model writes one text, against what memory allows and against llama.cpp.

    python benchmarks/llm.py                             # a few minutes, and one to compile
    python benchmarks/llm.py --llama-python PATH         # PATH: a Python that has llama-cpp-python
    python benchmarks/llm.py --gpu                       # also the table of a CUDA device

Every way of writing is measured in turn, several times, in one run; ratios are between medians.
The limit is the memory's speed, measured in the same run by reading as many bytes as that way
reads for each token, divided by those bytes. llama.cpp runs in a process of its own (in a venv:
``pip install llama-cpp-python``, which needs cmake and a C++ compiler), on the very file that
``curso/smollm2-135m-instruct`` is made from. On the GPU the weights are random: a model of the
size of Llama 3.2 1B, since speed does not depend on what the weights say.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from helpers.environment import share_processors

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
share_processors()  # as in the notebook; read when PyTorch is imported

from reporting import print_heading  # noqa: E402

from helpers import decoding, measure  # noqa: E402

MODEL = "curso/smollm2-135m-instruct"
QUESTION = "What is a black hole? Explain in detail."
MIB = 2**20
BATCH = 8

LLAMA = """
import json, sys, time
from llama_cpp import Llama
path, threads, new, rounds, ids = json.loads(sys.argv[1])
model = Llama(path, n_ctx=512, n_threads=threads, n_threads_batch=threads, verbose=False)
found = []
for _ in range(rounds + 1):
    model.reset()
    start = time.perf_counter()
    tokens = model.generate(ids, temp=0.0)
    next(tokens)
    first = time.perf_counter()
    for _ in range(new - 1):
        next(tokens)
    found.append([first - start, (time.perf_counter() - first) / (new - 1)])
print(json.dumps(found[1:]))
"""


class Way:
    """One way of writing: what writes, and what it reads for each token."""

    def __init__(self, name: str, run: Callable[[], measure.Decoding], read: int) -> None:
        self.name = name
        self.run = run
        self.read = read
        self.found: list[measure.Decoding] = []

    @property
    def speed(self) -> float:
        return statistics.median(one.tokens_per_second for one in self.found)

    @property
    def first(self) -> float:
        return statistics.median(one.first_token_seconds for one in self.found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--llama-python", metavar="PATH", default=sys.executable)
    parser.add_argument("--gpu", action="store_true")
    options = parser.parse_args()
    print_heading("torch", "transformers")
    cpu_table(options)
    if options.gpu:
        gpu_table(options)


def cpu_table(options: argparse.Namespace) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, pipeline

    from helpers.embedded import store

    folder = store.ensure(MODEL)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    inputs = tokenizer.apply_chat_template(
        [{"role": "user", "content": QUESTION}],
        add_generation_prompt=True,
        return_tensors="pt",
        return_dict=True,
    )

    def load(dtype: Any) -> Any:
        return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval()

    def plain(model: Any, **more: Any) -> Callable[[], measure.Decoding]:
        return lambda: measure.decoding(model, inputs, new_tokens=options.tokens, repeats=1, **more)

    full, half = load(torch.float32), load(torch.bfloat16)
    writer = pipeline("text-generation", model=full, tokenizer=tokenizer)
    full_read, half_read = map(measure.weights_read_per_token, (full, half))
    many = {key: value.repeat(BATCH, 1) for key, value in inputs.items()}
    compiled = decoding.compile_for_decoding(load(torch.bfloat16))
    eighth = decoding.int8_weights(load(torch.bfloat16))
    eighth_read = measure.weights_read_per_token(eighth)
    small = decoding.compile_for_decoding(eighth)
    for one in (compiled, small):
        print(one, f"({one.compile_seconds:.0f} s)\n", flush=True)
    ways = [
        Way("a célula de sempre: `pipeline`, float32", naive(writer, options.tokens), full_read),
        Way("`generate`, float32", plain(full), full_read),
        Way("`generate`, float32, sem cache KV", plain(full, use_cache=False), full_read),
        Way("`generate`, bfloat16", plain(half), half_read),
        Way("bfloat16, cache estático", plain(half, cache_implementation="static"), half_read),
        Way(
            "float32, assistido pelo texto (`prompt_lookup_num_tokens=4`)",
            plain(full, prompt_lookup_num_tokens=4),
            full_read,
        ),
        Way("bfloat16, compilado, cache estático", plain(compiled), half_read),
        Way("8 bits, compilado, cache estático", plain(small), eighth_read),
        Way(
            f"bfloat16, lote de {BATCH}",
            lambda: measure.decoding(half, many, new_tokens=options.tokens, repeats=1),
            half_read,
        ),
    ]
    bandwidths: dict[int, float] = {}
    for round_ in range(options.rounds):
        for size in {way.read for way in ways} | {512 * MIB}:
            found = measure.memory_bandwidth(size_bytes=size)
            bandwidths[size] = max(found, bandwidths.get(size, 0))
        for way in ways:
            # Without its cache the model reads the whole text for each token: once is enough.
            if round_ == 0 or "sem cache" not in way.name:
                way.found.append(way.run())
    peer = llama(options, inputs["input_ids"][0].tolist())
    print_ways(ways, ways[0], bandwidths, BATCH)
    print_llama(peer, ways)
    told = {512 * MIB, full_read, half_read, eighth_read}
    lines = ", ".join(f"{bandwidths[one] / 1e9:.1f} (lendo {one / 1e6:.0f} MB)" for one in told)
    print(f"\nMemória, GB/s: {lines}.")
    print_agreement(full, half, compiled, small, inputs, options.tokens)


def naive(writer: Any, tokens: int) -> Callable[[], measure.Decoding]:
    """The cell that most tutorials show, timed whole: nothing is told before it is all written."""

    def run() -> measure.Decoding:
        start = time.perf_counter()
        writer(
            [{"role": "user", "content": QUESTION}],
            max_new_tokens=tokens,
            min_new_tokens=tokens,
            do_sample=False,
        )
        seconds = time.perf_counter() - start
        return measure.Decoding(seconds, seconds / tokens, tokens)

    return run


def llama(options: argparse.Namespace, ids: list[int]) -> dict[str, Any] | str:
    """Measure llama.cpp on the file that the model was made from; or say why not."""
    import torch

    from helpers.embedded import fetch
    from helpers.embedded.catalog import catalog

    file = catalog().repository(MODEL).files[0]
    with tempfile.TemporaryDirectory() as scratch:
        path = str(fetch.member(file, folder=Path(scratch)))
        job = json.dumps([path, torch.get_num_threads(), options.tokens, options.rounds, ids])
        try:
            ran = subprocess.run(
                [options.llama_python, "-c", LLAMA, job], capture_output=True, text=True, check=True
            )
        except (OSError, subprocess.CalledProcessError) as error:
            reason = str(getattr(error, "stderr", "") or error).strip().splitlines()[-1]
            return f"llama.cpp não foi medido ({reason}): `pip install llama-cpp-python`."
    found = json.loads(ran.stdout.splitlines()[-1])
    return {
        "speed": 1 / statistics.median(gap for _, gap in found),
        "first": statistics.median(first for first, _ in found),
        "bytes": file.size,
    }


def print_ways(ways: list[Way], base: Way, bandwidths: dict[int, float], batch: int = 1) -> None:
    print("| Modo | tokens/s | × a célula | % do limite | primeiro token | lidos por token |")
    print("| --- | --- | --- | --- | --- | --- |")
    for way in ways:
        limit = measure.decoding_limit(way.read, bandwidths[way.read])
        sequences = way.found[0].sequences
        share = f"{way.speed / sequences / limit:.0%}" + (" por passo" if sequences > 1 else "")
        first = "só no fim" if way is base else f"{1e3 * way.first:.0f} ms"
        print(
            f"| {way.name} | {way.speed:.1f} | {way.speed / base.speed:.2f} | {share} "
            f"| {first} | {way.read / 1e6:.0f} MB |"
        )


def print_llama(peer: dict[str, Any] | str, ways: list[Way]) -> None:
    if isinstance(peer, str):
        print(f"\n{peer}")
        return
    ratios = {way.name: way.speed / peer["speed"] for way in ways if "compilado" in way.name}
    told = "; ".join(f"{name}: {ratio:.2f} ×" for name, ratio in ratios.items())
    print(
        f"| llama.cpp, o mesmo modelo em Q4_1 | {peer['speed']:.1f} "
        f"| {peer['speed'] / ways[0].speed:.2f} | | {1e3 * peer['first']:.0f} ms "
        f"| até {peer['bytes'] / 1e6:.0f} MB |"
    )
    print(f"\nEm relação ao llama.cpp: {told}.")


def print_agreement(
    full: Any, half: Any, compiled: Any, small: Any, inputs: Any, tokens: int
) -> None:
    """How many tokens each one writes before it first differs from float32."""
    start = inputs["input_ids"].shape[1]
    options = {"do_sample": False, "max_new_tokens": tokens}
    expected = full.generate(**inputs, **options)[0, start:].tolist()
    models = {"bfloat16": half, "bfloat16 compilado": compiled, "8 bits compilado": small}
    told = []
    for name, model in models.items():
        found = model.generate(**inputs, **options)[0, start:].tolist()
        pairs = zip(expected, found, strict=False)
        same = next((place for place, (a, b) in enumerate(pairs) if a != b), len(found))
        told.append(f"{name}: {same}")
    print(
        f"\nTokens iguais aos de float32 antes da primeira diferença, de {len(expected)}: ", end=""
    )
    print("; ".join(told) + ".")


def gpu_table(options: argparse.Namespace) -> None:
    """A model of 1 B-class, random weights: bf16 plain and compiled, beside the same on the CPU."""
    import torch
    from transformers import AutoModelForCausalLM, LlamaConfig

    print("\n### GPU\n")
    if not torch.cuda.is_available():
        print("Sem GPU nesta máquina: nada foi medido.")
        return
    config = LlamaConfig(
        vocab_size=128256, hidden_size=2048, intermediate_size=8192, num_hidden_layers=16,
        num_attention_heads=32, num_key_value_heads=8, head_dim=64, tie_word_embeddings=True,
        max_position_embeddings=4096, eos_token_id=None, bos_token_id=None, pad_token_id=None,
    )  # fmt: skip
    with torch.device("cuda"):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16).eval()
    inputs = {"input_ids": torch.arange(32, device="cuda")[None]}
    read = measure.weights_read_per_token(model)
    compiled = decoding.compile_for_decoding(model)

    def run(one: Any) -> Callable[[], measure.Decoding]:
        return lambda: measure.decoding(one, inputs, new_tokens=options.tokens, repeats=1)

    ways = [
        Way("`generate`, bfloat16", run(model), read),
        Way("bfloat16, compilado, cache estático", run(compiled), read),
    ]
    bandwidth = 0.0
    for _ in range(options.rounds):
        bandwidth = max(bandwidth, measure.memory_bandwidth("cuda", size_bytes=read))
        for way in ways:
            way.found.append(way.run())
    slow = model.to("cpu")
    inputs = {"input_ids": inputs["input_ids"].cpu()}
    on_cpu = Way("o mesmo na CPU, `generate`, bfloat16", run(slow), read)
    on_cpu.found.append(measure.decoding(slow, inputs, new_tokens=8, repeats=1))
    print(f"{torch.cuda.get_device_name()}, {bandwidth / 1e9:.0f} GB/s, pesos aleatórios\n")
    print_ways(ways, ways[0], {read: bandwidth})
    print(f"\nNa CPU, {on_cpu.speed:.2f} tokens/s: a GPU é {ways[1].speed / on_cpu.speed:.0f} ×.")


if __name__ == "__main__":
    main()
