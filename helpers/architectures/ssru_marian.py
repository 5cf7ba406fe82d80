"""Marian's "tiny" translation model: a Transformer encoder and a recurrent decoder.

``MarianMTModel`` of transformers attends to the whole target so far at each step. In Marian's
student models a *simpler simple recurrent unit* (SSRU, https://aclanthology.org/D19-5632) stands
in its place: one vector per layer sums up the target so far, so a step costs the same however long
the translation has become::

    f = sigmoid(x Wf + bf)      what to keep of the state
    c = f * c + (1 - f) * x W   the new state
    y = LayerNorm(x + relu(c))

Everything else is Marian's: layer normalisation after each sublayer, sinusoidal positions,
embeddings shared by both languages and by the output layer.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import initialization as init
from transformers.generation import GenerationMixin
from transformers.modeling_outputs import BaseModelOutput, Seq2SeqLMOutput
from transformers.modeling_utils import PreTrainedModel

from helpers.architectures.ssru_marian_config import SSRUMarianConfig


class SSRUMarianCache:
    """What the decoder remembers between two steps of ``generate``.

    Attributes:
        length: Number of target tokens read so far.
        states: Of each layer, the state of its SSRU, ``[batch, d_model]``.
        memories: Of each layer, keys and values of the source, ``[batch, heads, source, head]``.
    """

    is_compileable = False

    def __init__(self, layers: int) -> None:
        self.length = 0
        self.states: list[Tensor | None] = [None] * layers
        self.memories: list[tuple[Tensor, Tensor] | None] = [None] * layers

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Return the number of target tokens read so far, the same in every layer."""
        return self.length

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """Keep these rows of the batch, in this order: the beams that go on."""
        for layer, (state, memory) in enumerate(zip(self.states, self.memories, strict=True)):
            if state is None or memory is None:
                continue
            rows = beam_idx.to(state.device)
            self.states[layer] = state.index_select(0, rows)
            keys, values = memory
            self.memories[layer] = keys.index_select(0, rows), values.index_select(0, rows)


class Attention(nn.Module):
    """Attention with several heads to a memory of keys and values."""

    def __init__(self, size: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj = nn.Linear(size, size)
        self.k_proj = nn.Linear(size, size)
        self.v_proj = nn.Linear(size, size)
        self.out_proj = nn.Linear(size, size)

    def memory(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """Return keys and values, ``[batch, heads, length, head]``, of ``[batch, length, d]``."""
        return self._split(self.k_proj(states)), self._split(self.v_proj(states))

    def forward(self, states: Tensor, memory: tuple[Tensor, Tensor], mask: Tensor | None) -> Tensor:
        """Attend from ``[batch, length, d_model]``.

        Args:
            states: What attends.
            memory: What :meth:`memory` returned.
            mask: ``[batch, 1, 1, memory length]``, true where attention is allowed; ``None``
                allows it everywhere.

        Returns:
            ``[batch, length, d_model]``.
        """
        heads = functional.scaled_dot_product_attention(
            self._split(self.q_proj(states)), *memory, attn_mask=mask
        )
        return self.out_proj(heads.transpose(1, 2).flatten(2))

    def _split(self, states: Tensor) -> Tensor:
        return states.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class FeedForward(nn.Module):
    """Two linear layers with a ReLU between them, the residual and its normalisation."""

    def __init__(self, size: int, hidden: int, epsilon: float) -> None:
        super().__init__()
        self.fc1 = nn.Linear(size, hidden)
        self.fc2 = nn.Linear(hidden, size)
        self.layer_norm = nn.LayerNorm(size, epsilon)

    def forward(self, states: Tensor) -> Tensor:
        """Map ``[..., d_model]`` to the same shape."""
        return self.layer_norm(states + self.fc2(functional.relu(self.fc1(states))))


class SSRU(nn.Module):
    """The recurrent unit that stands for self-attention in the decoder."""

    def __init__(self, size: int, epsilon: float) -> None:
        super().__init__()
        self.forget = nn.Linear(size, size)
        self.update = nn.Linear(size, size, bias=False)
        self.layer_norm = nn.LayerNorm(size, epsilon)

    def forward(self, states: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
        """Read some tokens.

        Args:
            states: ``[batch, length, d_model]``.
            state: ``[batch, d_model]``, or ``None`` at the start of the target.

        Returns:
            The outputs, ``[batch, length, d_model]``, and the state after the last token.
        """
        keep = torch.sigmoid(self.forget(states))
        new = (1 - keep) * self.update(states)
        state = torch.zeros_like(states[:, 0]) if state is None else state
        outputs = []
        for step in range(states.shape[1]):
            state = keep[:, step] * state + new[:, step]
            outputs.append(state)
        return self.layer_norm(states + functional.relu(torch.stack(outputs, dim=1))), state


class EncoderLayer(nn.Module):
    """Self-attention and feed-forward network."""

    def __init__(self, config: SSRUMarianConfig) -> None:
        super().__init__()
        self.self_attn = Attention(config.d_model, config.encoder_attention_heads)
        self.self_attn_layer_norm = nn.LayerNorm(config.d_model, config.layer_norm_eps)
        self.ffn = FeedForward(config.d_model, config.encoder_ffn_dim, config.layer_norm_eps)

    def forward(self, states: Tensor, mask: Tensor | None) -> Tensor:
        """Map ``[batch, source, d_model]`` to the same shape."""
        attended = self.self_attn(states, self.self_attn.memory(states), mask)
        return self.ffn(self.self_attn_layer_norm(states + attended))


class DecoderLayer(nn.Module):
    """SSRU, attention to the source and feed-forward network."""

    def __init__(self, config: SSRUMarianConfig) -> None:
        super().__init__()
        self.ssru = SSRU(config.d_model, config.layer_norm_eps)
        self.encoder_attn = Attention(config.d_model, config.decoder_attention_heads)
        self.encoder_attn_layer_norm = nn.LayerNorm(config.d_model, config.layer_norm_eps)
        self.ffn = FeedForward(config.d_model, config.decoder_ffn_dim, config.layer_norm_eps)

    def forward(
        self,
        states: Tensor,
        state: Tensor | None,
        memory: tuple[Tensor, Tensor],
        mask: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """Map ``[batch, target, d_model]`` to the same shape, and return the SSRU's new state."""
        states, state = self.ssru(states, state)
        attended = self.encoder_attn(states, memory, mask)
        return self.ffn(self.encoder_attn_layer_norm(states + attended)), state


class Encoder(nn.Module):
    """Holds the embeddings, which the decoder and the output layer share, and reads the source."""

    main_input_name = "input_ids"

    def __init__(self, config: SSRUMarianConfig) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(config.vocab_size, config.d_model, config.pad_token_id)
        self.layers = nn.ModuleList(EncoderLayer(config) for _ in range(config.encoder_layers))

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, **kwargs: Any
    ) -> BaseModelOutput:
        """Encode source texts.

        Args:
            input_ids: ``[batch, source]``, each text ending in the end token, padded on the right.
            attention_mask: The same shape, 0 at the padding.
            **kwargs: Ignored; ``generate`` passes what other encoders take.

        Returns:
            ``last_hidden_state``, ``[batch, source, d_model]``.
        """
        states = self.embed(input_ids)
        mask = attention_mask_4d(attention_mask)
        for layer in self.layers:
            states = layer(states, mask)
        return BaseModelOutput(last_hidden_state=states)

    def embed(self, input_ids: Tensor, start: int = 0) -> Tensor:
        """Return scaled embeddings plus positions.

        Args:
            input_ids: ``[batch, length]``.
            start: Position of the first token.

        Returns:
            ``[batch, length, d_model]``.
        """
        weights = self.embed_tokens.weight
        size = weights.shape[1]
        positions = sinusoids(start, input_ids.shape[1], size, weights.device)
        return self.embed_tokens(input_ids) * math.sqrt(size) + positions.to(weights.dtype)


class Decoder(nn.Module):
    """Reads the target so far and attends to the source."""

    def __init__(self, config: SSRUMarianConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(DecoderLayer(config) for _ in range(config.decoder_layers))

    def forward(
        self, states: Tensor, source: Tensor, mask: Tensor | None, cache: SSRUMarianCache
    ) -> Tensor:
        """Read tokens and bring the cache up to date.

        Args:
            states: Embedded tokens that follow those in the cache, ``[batch, target, d_model]``.
            source: Output of the encoder, ``[batch, source, d_model]``.
            mask: ``[batch, 1, 1, source]``, true at tokens, or ``None``.
            cache: State after the tokens before.

        Returns:
            ``[batch, target, d_model]``.
        """
        cache.length += states.shape[1]
        for index, layer in enumerate(self.layers):
            memory = cache.memories[index] or layer.encoder_attn.memory(source)
            cache.memories[index] = memory
            states, cache.states[index] = layer(states, cache.states[index], memory, mask)
        return states


class SSRUMarianForSeq2SeqLM(PreTrainedModel, GenerationMixin):
    """The translation model, for ``AutoModelForSeq2SeqLM`` and ``generate``."""

    config_class = SSRUMarianConfig
    base_model_prefix = ""
    main_input_name = "input_ids"
    _supports_sdpa = True
    _no_split_modules = ["EncoderLayer", "DecoderLayer"]

    def __init__(self, config: SSRUMarianConfig) -> None:
        super().__init__(config)
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)
        self.final_logits_bias = nn.Parameter(torch.zeros(config.vocab_size))
        self.post_init()

    def get_encoder(self, *args: Any, **kwargs: Any) -> Encoder:
        """Return the encoder, as ``generate`` asks for it."""
        return self.encoder

    def get_input_embeddings(self) -> nn.Embedding:
        """Return the embeddings, shared by source, target and output."""
        return self.encoder.embed_tokens

    def set_input_embeddings(self, value: nn.Embedding) -> None:
        """Replace the embeddings, shared by source, target and output."""
        self.encoder.embed_tokens = value

    def prepare_decoder_input_ids_from_labels(self, labels: Tensor) -> Tensor:
        """Return the labels one step later, after the start token, ``[batch, target]``."""
        shifted = labels.new_full(labels.shape, self.config.decoder_start_token_id)
        shifted[:, 1:] = labels[:, :-1]
        return shifted.masked_fill(shifted == -100, self.config.pad_token_id)

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        encoder_outputs: BaseModelOutput | tuple[Tensor, ...] | None = None,
        past_key_values: SSRUMarianCache | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        **kwargs: Any,
    ) -> Seq2SeqLMOutput:
        """Score the next token after each token of the target.

        Args:
            input_ids: Source tokens, ``[batch, source]``; not needed with ``encoder_outputs``.
            attention_mask: ``[batch, source]``, 0 at the padding.
            decoder_input_ids: Target tokens that follow those in ``past_key_values``,
                ``[batch, target]``; by default, the labels one step later.
            encoder_outputs: What the encoder returned for this source.
            past_key_values: What an earlier call returned; it is brought up to date.
            labels: Right tokens, ``[batch, target]``, -100 where any will do.
            use_cache: Whether to return ``past_key_values``; by default, as the configuration
                says, and never with labels.
            **kwargs: Ignored; ``generate`` passes what other models take.

        Returns:
            ``logits``, ``[batch, target, vocab_size]``, ``encoder_last_hidden_state``,
            ``past_key_values``, and ``loss`` when there are labels.

        Raises:
            ValueError: Neither a target nor labels were given.
        """
        if encoder_outputs is None:
            encoder_outputs = self.encoder(input_ids, attention_mask)
        if decoder_input_ids is None:
            if labels is None:
                raise ValueError("Give either decoder_input_ids or labels.")
            decoder_input_ids = self.prepare_decoder_input_ids_from_labels(labels)
        if use_cache is None:
            use_cache = self.config.use_cache and labels is None
        cache = past_key_values or SSRUMarianCache(self.config.decoder_layers)
        states = self.encoder.embed(decoder_input_ids, start=cache.length)
        states = self.decoder(states, encoder_outputs[0], attention_mask_4d(attention_mask), cache)
        logits = functional.linear(states, self.encoder.embed_tokens.weight, self.final_logits_bias)
        loss = None
        if labels is not None:
            loss = functional.cross_entropy(logits.flatten(0, 1), labels.flatten())
        return Seq2SeqLMOutput(
            loss=loss,
            logits=logits,
            past_key_values=cache if use_cache else None,
            encoder_last_hidden_state=encoder_outputs[0],
        )

    @classmethod
    def _supports_default_dynamic_cache(cls) -> bool:
        # The first call of `forward` makes the cache: `generate` only knows caches of attention.
        return False

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, SSRUMarianForSeq2SeqLM):
            init.zeros_(module.final_logits_bias)


def attention_mask_4d(mask: Tensor | None) -> Tensor | None:
    """Turn ``[batch, source]`` of 0 and 1 into ``[batch, 1, 1, source]`` of booleans."""
    return None if mask is None else mask[:, None, None, :].bool()


def sinusoids(start: int, length: int, size: int, device: torch.device) -> Tensor:
    """Return Marian's position vectors: the sines of all frequencies, then the cosines.

    Args:
        start: First position.
        length: Number of positions.
        size: Size of a vector, even.
        device: Where to compute them.

    Returns:
        ``[length, size]``, float32.
    """
    half = size // 2
    exponents = torch.arange(half, device=device, dtype=torch.float32) / (half - 1)
    positions = torch.arange(start, start + length, device=device, dtype=torch.float32)
    angles = positions[:, None] * torch.exp(-math.log(10000) * exponents)
    return torch.cat([angles.sin(), angles.cos()], dim=-1)
