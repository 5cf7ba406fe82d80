"""Writing one text as fast as memory allows: fixed cache, compiled step, weights in 8 bits."""

from __future__ import annotations

import contextlib
import ctypes
import sys
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from helpers.errors import CourseError
from helpers.messages import text

if TYPE_CHECKING:
    import torch

MAX_LENGTH = 256
WARM_UP_TOKENS = 4
PAGE_BYTES = 4096
LARGE_PAGE_BYTES = 2 * 2**20
MADV_HUGEPAGE = 14  # Linux's <sys/mman.h>


class CompiledDecoder:
    """A model whose step of one token is compiled; made by `compile_for_decoding`.

    Attributes:
        model: the model; on a CPU its weights were moved to large pages of memory.
        max_length: the most tokens that prompt and answer may have together.
        note: why nothing was compiled; empty if it was.
        compile_seconds: how long compiling took.
    """

    def __init__(self, model: Any, max_length: int) -> None:
        self.model = model
        self.max_length = max_length
        self.note = ""
        self._cache = _fixed_cache(model, max_length)
        if model.device.type == "cpu":
            _use_large_pages(model)
        self._is_warm = False
        self._step = self._compiled_step()
        start = time.perf_counter()
        self._compile()
        self.compile_seconds = time.perf_counter() - start

    @property
    def config(self) -> Any:
        """The model's configuration."""
        return self.model.config

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.model.device

    def __repr__(self) -> str:
        name = type(self.model).__name__
        return self.note or text("decoding.ready", name=name, length=self.max_length)

    def generate(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        *,
        max_new_tokens: int = 64,
        eos_token_id: int | Sequence[int] | None = None,
        do_sample: bool = False,
        streamer: Any = None,
        stopping_criteria: Sequence[Any] = (),
    ) -> torch.Tensor:
        """Continue one text, always with the likeliest token, as ``model.generate`` does.

        Args:
            input_ids: the prompt, of shape ``(1, length)``.
            attention_mask: accepted because tokenizers give it; one text has nothing to hide.
            max_new_tokens: the most tokens to write.
            eos_token_id: what ends the text; the model's own unless given.
            do_sample: must be False.
            streamer: as in transformers: gets each token as soon as it is there.
            stopping_criteria: as in transformers: functions that may end the text.

        Returns:
            The prompt and what was written, of shape ``(1, length + new tokens)``.

        Raises:
            CourseError: if there is not exactly one text, it does not fit, or a draw is asked for.
        """
        import torch

        self._check(input_ids, attention_mask, max_new_tokens, do_sample)
        ends = self._ends(eos_token_id)
        if streamer is not None:
            streamer.put(input_ids.cpu())
        ids = input_ids
        for token in self._tokens(input_ids, max_new_tokens):
            ids = torch.cat([ids, token], dim=1)
            if streamer is not None:
                streamer.put(token[0].cpu())
            asked_to_stop = [bool(stop(ids, None).all()) for stop in stopping_criteria]
            if int(token) in ends or any(asked_to_stop):
                break
        if streamer is not None:
            streamer.end()
        return ids

    def _tokens(self, input_ids: torch.Tensor, count: int) -> Iterator[torch.Tensor]:
        """Yield each new token, of shape ``(1, 1)``: the loop that ``generate`` hides."""
        import torch

        with torch.no_grad():
            self._cache.reset()
            output = self.model(input_ids, past_key_values=self._cache, logits_to_keep=1)
            token = output.logits[:, -1].argmax(-1, keepdim=True)
            length = input_ids.shape[1]
            position = torch.full((1, 1), length, device=self.device)
            visible = torch.arange(self.max_length, device=self.device)[None, None, None] < length
        yield token
        for place in range(length, length + count - 1):
            with torch.no_grad(), self._stance():
                visible[..., place] = True
                token = self._step(token, visible, position).clone()
                position += 1
            yield token

    def _stance(self) -> Any:
        """Once warm, skip asking hundreds of times a token whether model and cache have changed.

        PyTorch calls it unsafe because it knows no such promise; here the step, the shapes and the
        cache never change.
        """
        import torch

        if not self._is_warm:
            return contextlib.nullcontext()
        return torch.compiler.set_stance(skip_guard_eval_unsafe=True)

    def _compiled_step(self) -> Any:
        import torch

        model, cache = self.model, self._cache

        def step(token: Any, visible: Any, position: Any) -> Any:
            output = model(
                token, attention_mask=visible, position_ids=position, past_key_values=cache
            )
            return output.logits[:, -1].argmax(-1, keepdim=True)

        self._plain_step = step
        if self.device.type == "cuda":
            # One launch a token instead of one a kernel: a CUDA graph.
            options = {"triton.cudagraphs": True, "coordinate_descent_tuning": True}
            return torch.compile(step, dynamic=False, options=options)
        return torch.compile(step, dynamic=False, backend=_streaming_inductor)

    def _compile(self) -> None:
        """Write a few tokens, which compiles; without a compiler, go on uncompiled and say so."""
        import torch

        prompt = torch.zeros((1, 2), dtype=torch.long, device=self.device)
        try:
            list(self._tokens(prompt, WARM_UP_TOKENS))
            self._is_warm = True
        except (
            Exception
        ) as error:  # torch.compile has no error of its own for "nothing to compile with"
            self._step = self._plain_step
            list(self._tokens(prompt, WARM_UP_TOKENS))  # raises, if compiling was not the problem
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            self.note = text("decoding.not_compiled", reason=reason)

    def _check(
        self, input_ids: Any, attention_mask: Any, max_new_tokens: int, do_sample: bool
    ) -> None:
        if do_sample:
            raise CourseError(text("decoding.greedy_only"))
        if input_ids.ndim != 2 or input_ids.shape[0] != 1:
            raise CourseError(text("decoding.one_text"))
        if not input_ids.shape[1]:
            raise CourseError(text("measure.no_prompt"))
        if attention_mask is not None and not bool(attention_mask.all()):
            raise CourseError(text("decoding.padding"))
        if max_new_tokens < 1:
            raise CourseError(text("decoding.no_new_tokens", count=max_new_tokens))
        if input_ids.shape[1] + max_new_tokens > self.max_length:
            raise CourseError(
                text(
                    "decoding.too_long",
                    prompt=input_ids.shape[1],
                    new=max_new_tokens,
                    length=self.max_length,
                )
            )

    def _ends(self, eos_token_id: int | Sequence[int] | None) -> set[int]:
        given = eos_token_id
        if given is None:
            given = self.model.generation_config.eos_token_id
        if given is None:
            return set()
        return {given} if isinstance(given, int) else set(given)


def compile_for_decoding(model: Any, *, max_length: int = MAX_LENGTH) -> CompiledDecoder:
    """Compile a model's step of one token, with a cache of fixed size.

    Compiling takes from seconds to minutes, and needs a C++ compiler on a CPU, Triton on a GPU.
    Without them the result works the same, uncompiled, and its ``note`` says so.

    In float32 the tokens are those of ``model.generate``. In bfloat16 a compiled step rounds less
    often, so two tokens that are almost equally likely may change places.

    Args:
        model: a causal language model of transformers, all of it on one device.
        max_length: the most tokens that prompt and answer may have together; the cache takes
            memory for all of them, and each step reads it.

    Raises:
        CourseError: if the length makes no sense, or the model needs another kind of cache.
    """
    limit = getattr(model.config.get_text_config(decoder=True), "max_position_embeddings", None)
    if max_length < WARM_UP_TOKENS + 2 or (limit and max_length > limit):
        raise CourseError(
            text("decoding.bad_length", length=max_length, limit=limit or text("decoding.any"))
        )
    return CompiledDecoder(model, max_length)


def int8_weights(model: Any) -> Any:
    """Keep the weights of every linear layer as integers of 8 bits, with one scale a row.

    Half the bytes of bfloat16, so half the time to read them once `compile_for_decoding` has
    compiled the model; uncompiled it is slower, because each use writes them out in full again.

    Args:
        model: a PyTorch model; its linear layers are replaced in place.

    Returns:
        The same model.

    Raises:
        CourseError: if it has no linear layer.
    """
    from torch import nn

    replaced = 0
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is nn.Linear:
                setattr(parent, name, _int8_linear(child))
                replaced += 1
    if not replaced:
        raise CourseError(text("decoding.no_linear"))
    return model


def _int8_linear(linear: Any) -> Any:
    import torch
    from torch import nn

    class Int8Linear(nn.Module):
        """A linear layer whose weights are integers from -127 to 127, times a scale a row."""

        def __init__(self) -> None:
            super().__init__()
            weight = linear.weight.detach().float()
            scale = weight.abs().amax(dim=1).clamp(min=1e-12) / 127
            self.register_buffer("weight", (weight / scale[:, None]).round().to(torch.int8))
            self.register_buffer("scale", scale.to(linear.weight.dtype))
            self.bias = linear.bias

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            # A form that PyTorch's compiler knows: it never writes the converted weights out.
            y = nn.functional.linear(x, self.weight.to(x.dtype)) * self.scale
            return y if self.bias is None else y + self.bias

    return Int8Linear()


def _fixed_cache(model: Any, max_length: int) -> Any:
    from transformers import StaticCache

    cache = StaticCache(config=model.config, max_cache_len=max_length)
    if not cache.is_compileable or any(layer.is_sliding for layer in cache.layers):
        raise CourseError(text("decoding.other_cache", name=type(model).__name__))
    return cache


def _use_large_pages(model: Any) -> None:
    """Move the weights, one after another, to memory in pages of 2 MiB, where Linux offers them.

    Where this was measured, a step of SmolLM2 took a fifth less time than with pages of 4 KiB, as
    those of a file. Elsewhere than on Linux the weights stay where they are.
    """
    import torch

    if sys.platform != "linux":
        return
    weights = [*model.parameters(), *(buffer for buffer in model.buffers() if buffer.ndim > 1)]
    plain = [one for one in weights if type(one.data) is torch.Tensor and one.is_contiguous()]
    sizes = [-(-one.nbytes // PAGE_BYTES) * PAGE_BYTES for one in plain]
    block = torch.empty(sum(sizes) + LARGE_PAGE_BYTES, dtype=torch.uint8)
    place = -block.data_ptr() % LARGE_PAGE_BYTES
    address = ctypes.c_void_p(block.data_ptr() + place)
    ctypes.CDLL(None).madvise(address, ctypes.c_size_t(sum(sizes)), MADV_HUGEPAGE)
    for one, size in zip(plain, sizes, strict=True):
        moved = block[place : place + one.nbytes].view(one.dtype).view(one.shape)
        one.data = moved.copy_(one.data)
        place += size


def _streaming_inductor(graph: torch.fx.GraphModule, inputs: list[Any]) -> Any:
    """PyTorch's compiler, told to work out one token as plain sums.

    The library's product of matrices in 16 bits, and its attention, are made for many rows at once:
    with a single one they read at a fraction of the memory's speed. As sums, the compiler writes
    loops that read weights and cache in order, and joins them with what comes before and after.
    """
    import torch
    from torch._dynamo import lookup_backend

    functional = torch.nn.functional
    for node in graph.graph.find_nodes(op="call_function", target=functional.linear):
        x, weight = node.args[0], node.args[1]
        if _is_single_row(x) and _is_stored_in_16_bits(weight):
            node.target = _row_by_row
    attention = functional.scaled_dot_product_attention
    for node in graph.graph.find_nodes(op="call_function", target=attention):
        if _is_plain_attention_of_one(node):
            node.target = _attend_with_one
    graph.recompile()
    return lookup_backend("inductor")(graph, inputs)


def _is_plain_attention_of_one(node: torch.fx.Node) -> bool:
    """Whether one token looks at the cache, by a mask of what is visible."""
    import torch

    mask = node.kwargs.get("attn_mask")
    if len(node.args) != 3 or not isinstance(mask, torch.fx.Node):
        return False
    query, key = (value.meta["example_value"] for value in node.args[:2])
    options = {"attn_mask", "dropout_p", "scale", "is_causal"}
    return (
        query.shape[:2] == key.shape[:2]  # one text, and keys already repeated for each head
        and query.shape[0] == query.shape[2] == 1
        and mask.meta["example_value"].dtype == torch.bool
        and set(node.kwargs) <= options
        and not node.kwargs.get("dropout_p")
        and not node.kwargs.get("is_causal")
    )


def _attend_with_one(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attn_mask: torch.Tensor,
    dropout_p: float = 0.0,
    scale: float | None = None,
    is_causal: bool = False,
) -> torch.Tensor:
    # Shapes: query (1, heads, 1, width); key and value (1, heads, length, width).
    import torch

    scale = query.shape[-1] ** -0.5 if scale is None else scale
    scores = (query.float() * key.float()).sum(-1) * scale
    scores = scores.masked_fill(~attn_mask.view(1, 1, -1), float("-inf"))
    shares = torch.softmax(scores, -1)
    return (shares.unsqueeze(-1) * value.float()).sum(-2, keepdim=True).to(query.dtype)


def _is_single_row(x: torch.fx.Node) -> bool:
    value = x.meta.get("example_value")
    return value is not None and value.numel() == value.shape[-1]


def _is_stored_in_16_bits(weight: torch.fx.Node) -> bool:
    value = weight.meta.get("example_value")
    return weight.op in ("placeholder", "get_attr") and value.dtype.itemsize == 2


def _row_by_row(x: torch.Tensor, weight: torch.Tensor, bias: Any = None) -> torch.Tensor:
    # As a view of its own memory, so that the vector is there before the loop starts; otherwise the
    # compiler would work out what it is made of again for each row.
    vector = x.as_strided((1, x.numel()), (x.numel(), 1))
    y = (vector.float() * weight.float()).sum(-1)
    if bias is not None:
        y = y + bias.float()
    return y.to(x.dtype).reshape(*x.shape[:-1], -1)
