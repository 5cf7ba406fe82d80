"""A language model on this machine: what it needs, and a sentence for each thing that goes wrong.

Loading, generating and reading stay in the notebook, with transformers; here is what goes around
them: how much memory and disk a model takes, which precision suits the device, a conversation that
fits in the model's context, a text that survives an interruption, and errors told in words.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import gc
import importlib.util
import logging
import re
import shutil
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from helpers.display import Table, number, table
from helpers.errors import CourseError
from helpers.messages import text

if TYPE_CHECKING:
    from helpers.environment import Environment

TASK = "text-generation"
DTYPE_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}

# bitsandbytes keeps one 32-bit scale for each row of an 8-bit matrix, and one for each 64 numbers
# of a 4-bit one.
QUANTIZED = ("int8", "int4")
INT4_BYTES = 0.5 + 4 / 64
SCALE_BYTES = 4

# Layers that stay in 16 or 32 bits when a model is quantized.
_NOT_QUANTIZED = re.compile(r"embed|wte|wpe|lm_head|norm")

# While a prompt is read, each token takes about this many copies of what its widest layers hold.
# Measured with the course's model in float32 on a CPU, from 256 to 2048 tokens.
WORKING_COPIES = 2

FIRST_BFLOAT16_CAPABILITY = (8, 0)
QUANTIZER = "bitsandbytes"

_CPU_REFUSALS = ("can't allocate memory", "not enough memory", "mps backend out of memory")
_ASKED_BYTES = re.compile(r"allocate (\d+) bytes")
_ASKED_UNITS = re.compile(r"allocate ([\d.]+) ([KMG])iB")
_UNITS = {"K": 2**10, "M": 2**20, "G": 2**30}


# --- the device and the precision ----------------------------------------------------------------


class Precision(NamedTuple):
    """How the numbers of a model are kept: the ``dtype`` of ``from_pretrained``, and why."""

    dtype: str
    reason: str


def choose_dtype(device: str, capability: tuple[int, int] | None = None) -> Precision:
    """Say which precision suits a device, and why.

    Args:
        device: ``"cuda"``, ``"mps"`` or ``"cpu"``.
        capability: the GPU's generation, as in ``torch.cuda.get_device_capability()``; by default
            the GPU is asked.
    """
    if device == "mps":
        return Precision("float16", text("llm.dtype_mps"))
    if device != "cuda":
        return Precision("float32", text("llm.dtype_cpu"))
    if capability is None:
        import torch

        capability = torch.cuda.get_device_capability()
    if capability < FIRST_BFLOAT16_CAPABILITY:
        return Precision("float16", text("llm.dtype_old_gpu"))
    return Precision("bfloat16", text("llm.dtype_gpu"))


def require_dtype(dtype: str, device: str) -> None:
    """Refuse a precision that the device does not suit.

    Args:
        dtype: such as ``"float16"``.
        device: ``"cuda"``, ``"mps"`` or ``"cpu"``.

    Raises:
        CourseError: for ``"float16"`` on a processor, or a name that is no precision.
    """
    name = str(dtype).removeprefix("torch.")
    if name not in DTYPE_BYTES:
        raise CourseError(text("llm.unknown_dtype", dtype=name, names=", ".join(DTYPE_BYTES)))
    if name == "float16" and device == "cpu":
        raise CourseError(text("llm.float16_on_cpu"))


def describe_device(environment: Environment) -> str:
    """Say in a sentence or two what a language model can expect of this machine.

    Args:
        environment: as in ``course.environment``.
    """
    if environment.device == "cuda":
        memory = number((environment.device_memory_bytes or 0) / 1e9, 0)
        return text("llm.has_gpu", name=environment.device_name, memory=memory)
    if environment.device == "mps":
        return text("llm.has_mps")
    return text("llm.no_gpu_colab" if environment.where == "colab" else "llm.no_gpu_local")


def require_gpu(environment: Environment) -> None:
    """Refuse to go on without an NVIDIA GPU.

    Raises:
        CourseError: without one; the sentence says how to get one.
    """
    if environment.device != "cuda":
        raise CourseError(describe_device(environment))


def require_quantizer() -> None:
    """Check that the library that quantizes models is installed, and keep it quiet.

    Raises:
        CourseError: if it is not.
    """
    if importlib.util.find_spec(QUANTIZER) is None:
        raise CourseError(text("llm.no_quantizer"))
    logging.getLogger(QUANTIZER).setLevel(logging.ERROR)


def speaks_portuguese(model_id: str) -> bool:
    """Whether the course's registry says that a language model was made for Portuguese too."""
    from helpers.models import choices

    return any(choice.hub_id == model_id and "pt" in choice.languages for choice in choices(TASK))


# --- memory and disk, before anything is downloaded ----------------------------------------------


@dataclass(frozen=True)
class MemoryEstimate:
    """How much memory a model takes, part by part, in bytes.

    Attributes:
        model_id: the model.
        dtype: the precision of its numbers, or ``"int8"`` or ``"int4"``.
        tokens: how many tokens all conversations hold together.
        weights_bytes: the parameters.
        cache_bytes: keys and values of those tokens.
        working_bytes: what is needed while the prompt is read.
        download_bytes: what the files weigh; 0 if they are here already.
    """

    model_id: str
    dtype: str
    tokens: int
    weights_bytes: int
    cache_bytes: int
    working_bytes: int
    download_bytes: int

    @property
    def total_bytes(self) -> int:
        """All three parts."""
        return self.weights_bytes + self.cache_bytes + self.working_bytes

    def _table(self) -> Table:
        parts = {
            "weights": self.weights_bytes,
            "cache": self.cache_bytes,
            "working": self.working_bytes,
            "total": self.total_bytes,
        }
        rows = [
            {
                text("llm.part"): text(f"llm.part_{name}"),
                text("llm.megabytes"): number(size / 1e6, 0),
            }
            for name, size in parts.items()
        ]
        caption = text(
            "llm.estimate", model=self.model_id, dtype=self.dtype, tokens=number(self.tokens, 0)
        )
        return table(rows, caption=caption)

    def __repr__(self) -> str:
        return repr(self._table())

    def _repr_html_(self) -> str:
        return self._table()._repr_html_()


def memory_estimate(
    model_id: str,
    revision: str | None = None,
    *,
    dtype: str = "float32",
    quantization: str | None = None,
    context_tokens: int = 2048,
    batch: int = 1,
) -> MemoryEstimate:
    """Estimate how much memory a causal language model takes, without downloading its weights.

    The Hub reads out the index of the safetensors files, with the shape of every tensor. A GPU
    takes some hundreds of MB more for CUDA itself, which are not counted.

    Args:
        model_id: the model's id on the Hub.
        revision: its commit; None for the newest.
        dtype: ``"float32"``, ``"bfloat16"`` or ``"float16"``.
        quantization: ``"int8"`` or ``"int4"`` (NF4) of bitsandbytes, or None.
        context_tokens: how many tokens one conversation holds, prompt and answer.
        batch: how many conversations go on at the same time.

    Raises:
        CourseError: if the model is gated, gone or has no safetensors, or an argument is not as
            above.
    """
    if dtype not in DTYPE_BYTES:
        raise CourseError(text("llm.unknown_dtype", dtype=dtype, names=", ".join(DTYPE_BYTES)))
    if quantization not in (None, *QUANTIZED):
        raise CourseError(text("llm.unknown_quantization", names=", ".join(QUANTIZED)))
    if context_tokens < 1 or batch < 1:
        raise CourseError(text("llm.bad_tokens"))
    config, tensors, download = _described(model_id, revision)
    size = DTYPE_BYTES[dtype]
    tokens = context_tokens * batch
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    head_size = getattr(config, "head_dim", None) or (
        config.hidden_size // config.num_attention_heads
    )
    widest = 3 * config.intermediate_size + 4 * config.hidden_size
    return MemoryEstimate(
        model_id=model_id,
        dtype=quantization or dtype,
        tokens=tokens,
        weights_bytes=round(sum(_stored(*item, size, quantization) for item in tensors.items())),
        cache_bytes=2 * config.num_hidden_layers * heads * head_size * size * tokens,
        working_bytes=WORKING_COPIES * widest * size * tokens,
        download_bytes=download,
    )


def _described(model_id: str, revision: str | None) -> tuple[Any, dict[str, list[int]], int]:
    """Return a model's configuration, the shape of its tensors, and what is to be downloaded."""
    from huggingface_hub import HfApi
    from transformers import AutoConfig

    with explained(model_id):
        api = HfApi()
        # First, because a model that is gone would look like one without safetensors.
        info = api.model_info(model_id, revision=revision, files_metadata=True)
        files = api.get_safetensors_metadata(model_id, revision=revision).files_metadata
        config = AutoConfig.from_pretrained(model_id, revision=revision)
    sizes = {one.rfilename: one.size or 0 for one in info.siblings or []}
    missing = [name for name in files if not _is_here(model_id, revision, name)]
    tensors = {name: one.shape for file in files.values() for name, one in file.tensors.items()}
    config = config.get_text_config(decoder=True)
    if config.tie_word_embeddings:
        tensors.pop("lm_head.weight", None)  # a second name of the embeddings
    return config, tensors, sum(sizes.get(name, 0) for name in missing)


def _is_here(model_id: str, revision: str | None, name: str) -> bool:
    from huggingface_hub import try_to_load_from_cache

    return isinstance(try_to_load_from_cache(model_id, name, revision=revision), str)


def _stored(name: str, shape: Sequence[int], size: int, quantization: str | None) -> float:
    """Return how many bytes a tensor takes in memory."""
    count = prod(shape)
    if quantization is None or len(shape) != 2 or _NOT_QUANTIZED.search(name):
        return count * size
    if quantization == "int8":
        return count + shape[0] * SCALE_BYTES
    return count * INT4_BYTES


def free_memory_bytes(device: str) -> int:
    """Return how much memory a device has left, in bytes.

    Args:
        device: ``"cuda"``, ``"mps"`` or ``"cpu"``.
    """
    if device == "cuda":
        import torch

        kept_by_torch = torch.cuda.memory_reserved() - torch.cuda.memory_allocated()
        return int(torch.cuda.mem_get_info()[0] + kept_by_torch)
    if device == "mps":
        import torch

        return int(torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory())
    import psutil

    return int(psutil.virtual_memory().available)


def require_memory(estimate: MemoryEstimate, device: str) -> None:
    """Refuse a model that does not fit, before it is loaded.

    Args:
        estimate: as `memory_estimate` returns it.
        device: ``"cuda"``, ``"mps"`` or ``"cpu"``.

    Raises:
        CourseError: if there is less memory left than it needs.
    """
    free = free_memory_bytes(device)
    if estimate.total_bytes > free:
        key = "llm.gpu_too_small" if device == "cuda" else "llm.memory_too_small"
        needed = number(estimate.total_bytes / 1e9, 1)
        raise CourseError(
            text(key, model=estimate.model_id, needed=needed, free=number(free / 1e9, 1))
        )


def require_disk(needed_bytes: int, folder: Path | str | None = None) -> None:
    """Refuse a download for which there is no room.

    Args:
        needed_bytes: what will be written, as in ``estimate.download_bytes``.
        folder: where; by default where the Hub's libraries keep models.

    Raises:
        CourseError: if less is free.
    """
    place = Path(folder) if folder is not None else _hub_cache()
    existing = next(path for path in (place.absolute(), *place.absolute().parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if needed_bytes > free:
        needed = number(needed_bytes / 1e9, 1)
        raise CourseError(text("llm.disk_too_small", needed=needed, free=number(free / 1e9, 1)))


def _hub_cache() -> Path:
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def load_measured(load: Callable[[], Any], device: str) -> tuple[Any, int]:
    """Load a model and measure how much memory its weights take.

    On a GPU PyTorch keeps the count. On a processor the system does, and the first model also
    brings in code: so two are loaded, the second one is measured, and the first one is let go.

    Args:
        load: returns the model, as in ``lambda: AutoModelForCausalLM.from_pretrained(...)``.
        device: ``"cuda"``, ``"mps"`` or ``"cpu"``.

    Returns:
        The model, and the bytes that it takes.

    Raises:
        CourseError: if the memory does not suffice, or the model cannot be had.
    """
    with explained():
        if device in ("cuda", "mps"):
            before = _held(device)
            model = load()
            return model, _held(device) - before
        first = _touched(load())
        before = _held(device)
        model = _touched(load())
        taken = _held(device) - before
    del first
    free_memory()
    return model, taken


def _touched(model: Any) -> Any:
    """Read all weights: those that come straight from a file enter memory only when read."""
    for weights in model.parameters():
        weights.sum()
    return model


def _held(device: str) -> int:
    gc.collect()
    if device == "cuda":
        import torch

        return int(torch.cuda.memory_allocated())
    if device == "mps":
        import torch

        return int(torch.mps.current_allocated_memory())
    import psutil

    return int(psutil.Process().memory_info().rss)


# --- conversations -------------------------------------------------------------------------------


def context_length(model: Any) -> int:
    """Return how many tokens a model can hold in mind, prompt and answer together."""
    return int(model.config.get_text_config(decoder=True).max_position_embeddings)


def require_context(prompt_tokens: int, new_tokens: int, context_tokens: int) -> None:
    """Refuse a prompt that leaves no room for its answer.

    Args:
        prompt_tokens: how many tokens the prompt has.
        new_tokens: how many the answer may have.
        context_tokens: how many the model can hold; see `context_length`.

    Raises:
        CourseError: if they are too many.
    """
    if prompt_tokens + new_tokens > context_tokens:
        raise CourseError(
            text(
                "llm.context_too_small",
                prompt=number(prompt_tokens, 0),
                answer=number(new_tokens, 0),
                context=number(context_tokens, 0),
            )
        )


def fit_context(
    messages: Sequence[Mapping[str, str]],
    tokenizer: Any,
    *,
    context_tokens: int,
    new_tokens: int,
) -> list[dict[str, str]]:
    """Return a conversation without its oldest messages, so that the answer has room.

    The system prompt and the last message always stay; after what is dropped, the conversation
    goes on with a message of the user, because some chat templates take no other order.

    Args:
        messages: a list of ``{"role": ..., "content": ...}``.
        tokenizer: the model's, with its chat template.
        context_tokens: how many tokens the model can hold.
        new_tokens: how many the answer may have.

    Raises:
        CourseError: if even the last message alone is too long.
    """
    system = [dict(message) for message in messages if message["role"] == "system"]
    turns = [dict(message) for message in messages if message["role"] != "system"]
    while True:
        count = count_tokens([*system, *turns], tokenizer)
        if count + new_tokens <= context_tokens or len(turns) <= 1:
            require_context(count, new_tokens, context_tokens)
            return [*system, *turns]
        del turns[0]
        while len(turns) > 1 and turns[0]["role"] != "user":
            del turns[0]


def count_tokens(messages: Sequence[Mapping[str, str]], tokenizer: Any) -> int:
    """Return how many tokens a conversation takes, chat template included.

    Raises:
        CourseError: if ``messages`` is a text instead of a list of messages.
    """
    if isinstance(messages, str):
        raise CourseError(text("llm.not_messages"))
    encoded = tokenizer.apply_chat_template(
        list(messages), add_generation_prompt=True, return_dict=True
    )
    return len(encoded["input_ids"])


def writer(tokenizer: Any) -> Any:
    """Return a streamer that shows the text as it is written, and keeps it.

    To be used as::

        with helpers.llm.writer(tokenizer) as writing:
            model.generate(**inputs, streamer=writing)
        writing.text

    If the learner interrupts the kernel, generation stops, what was written so far stays in
    ``writing.text``, ``writing.interrupted`` is True, and the notebook goes on.

    Args:
        tokenizer: the model's.
    """
    from transformers import TextStreamer

    class Writer(TextStreamer):  # type: ignore[misc,unused-ignore]
        def __init__(self) -> None:
            super().__init__(tokenizer, skip_prompt=True, skip_special_tokens=True)
            self.text = ""
            self.interrupted = False

        def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
            self.text += text
            super().on_finalized_text(text, stream_end)

        def __enter__(self) -> Writer:
            return self

        def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
            if kind is None or not issubclass(kind, KeyboardInterrupt):
                return False
            self.interrupted = True
            self.end()  # shows and keeps what was still waiting for its next token
            print(text("llm.interrupted"))
            return True

    return Writer()


# --- when the memory is over, and other errors ---------------------------------------------------


class Room(NamedTuple):
    """How many more bytes may be taken."""

    bytes: int


@contextlib.contextmanager
def memory_limit(most_bytes: int, device: str) -> Iterator[Room]:
    """Inside, this process can take only so much more memory: beyond it, the system says no.

    Without a limit, a processor's memory can run out in a way that ends the kernel instead of
    raising an error. On a GPU nothing is changed: what is free there is the limit, and CUDA says
    no by itself. Systems other than Linux have no such limit for a process.

    Args:
        most_bytes: how much more a processor's program may take.
        device: ``"cuda"``, ``"mps"`` or ``"cpu"``.

    Yields:
        What may be taken.
    """
    if device != "cpu":
        yield Room(free_memory_bytes(device))
        return
    if sys.platform != "linux":
        import psutil

        yield Room(int(psutil.virtual_memory().total + psutil.swap_memory().total))
        return
    import resource

    import psutil

    gc.collect()
    before, hard = resource.getrlimit(resource.RLIMIT_AS)
    most = int(psutil.Process().memory_info().vms) + most_bytes
    if hard != resource.RLIM_INFINITY:
        most = min(most, hard)
    resource.setrlimit(resource.RLIMIT_AS, (most, hard))
    try:
        yield Room(most_bytes)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (before, hard))


def free_memory() -> None:
    """Give back the memory that nobody uses any more, after an error too.

    An error keeps the variables of the functions it came through, and a notebook keeps its last
    error: those are let go first.
    """
    for name in ("last_value", "last_exc"):
        error = getattr(sys, name, None)
        if isinstance(error, BaseException):
            traceback.clear_frames(error.__traceback__)
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
    if sys.platform == "linux":
        # glibc keeps what was freed in small pieces; other C libraries have no such function.
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL("libc.so.6").malloc_trim(0)


def explain(error: BaseException, model_id: str = "") -> str:
    """Return a sentence that says what happened, why, and what to do next.

    Args:
        error: what was raised while a model was loaded or used.
        model_id: the model, if known.

    Returns:
        The sentence; for an error that this room does not know, what the error itself says.
    """
    return _sentence(error, model_id) or f"{type(error).__name__}: {error}"


@contextlib.contextmanager
def explained(model_id: str = "") -> Iterator[None]:
    """Inside, an error that this room knows becomes a sentence, and its memory is given back.

    Args:
        model_id: the model, if known.

    Raises:
        CourseError: in the place of such an error; others pass unchanged.
    """
    try:
        yield
    except CourseError:
        raise
    except Exception as error:
        sentence = _sentence(error, model_id)
        if sentence is None:
            raise
        # What the failed functions held would live as long as this error is shown.
        traceback.clear_frames(error.__traceback__)
        failure = CourseError(sentence)
    else:
        return
    free_memory()
    raise failure


def _sentence(error: BaseException, model_id: str) -> str | None:
    for one in _with_causes(error):
        found = (
            _memory_sentence(one) or _hub_sentence(one, model_id) or _other_sentence(one, model_id)
        )
        if found is not None:
            return found
    return None


def _with_causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what it came from; transformers wraps those of the Hub."""
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        yield one
        one = one.__cause__ or one.__context__


def _memory_sentence(error: BaseException) -> str | None:
    message = str(error).lower()
    torch = sys.modules.get("torch")
    asked = _asked(str(error))
    if torch is not None and isinstance(error, torch.OutOfMemoryError):
        return text("llm.cuda_out_of_memory", asked=asked)
    refused = isinstance(error, RuntimeError) and any(sign in message for sign in _CPU_REFUSALS)
    no_memory = isinstance(error, OSError) and error.errno == errno.ENOMEM
    if refused or no_memory or isinstance(error, MemoryError):
        return text("llm.out_of_memory", asked=asked)
    return None


def _asked(message: str) -> str:
    """Read off an error how much memory was asked for, in parentheses after a space, or nothing."""
    if found := _ASKED_BYTES.search(message):
        size = float(found[1])
    elif found := _ASKED_UNITS.search(message):
        size = float(found[1]) * _UNITS[found[2]]
    else:
        return ""
    return " " + text("llm.asked", size=number(size / 1e9, 2))


def _hub_sentence(error: BaseException, model_id: str) -> str | None:
    try:
        from huggingface_hub import errors
    except ImportError:
        return None
    name = model_id or text("llm.this_model")
    # A gated model is also "not found" to those who may not see it: the narrower case first.
    sentences = {
        errors.GatedRepoError: "llm.gated",
        errors.RepositoryNotFoundError: "llm.gone",
        errors.RevisionNotFoundError: "llm.no_revision",
        errors.NotASafetensorsRepoError: "llm.no_safetensors",
    }
    return next(
        (text(key, model=name) for kind, key in sentences.items() if isinstance(error, kind)), None
    )


def _other_sentence(error: BaseException, model_id: str) -> str | None:
    if isinstance(error, ImportError) and QUANTIZER in str(error):
        return text("llm.no_quantizer")
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return text("llm.disk_full")
    # transformers raises some of these without their cause.
    if isinstance(error, OSError) and "not a valid model identifier" in str(error):
        return text("llm.gone", model=model_id or text("llm.this_model"))
    return None
