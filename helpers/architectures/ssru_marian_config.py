"""Configuration of :mod:`helpers.architectures.ssru_marian`."""

from huggingface_hub.dataclasses import strict
from transformers.configuration_utils import PreTrainedConfig


@strict
class SSRUMarianConfig(PreTrainedConfig):
    """Sizes and token ids of a Marian translation model whose decoder is an SSRU.

    Attributes:
        vocab_size: Tokens of the vocabulary that both languages share, padding included.
        d_model: Size of an embedding and of every layer's output.
        encoder_layers, decoder_layers: Number of layers.
        encoder_attention_heads: Heads of the encoder's self-attention.
        decoder_attention_heads: Heads of the decoder's attention to the encoder.
        encoder_ffn_dim, decoder_ffn_dim: Size of the hidden layer of the feed-forward networks.
        layer_norm_eps: Epsilon of the layer normalisations.
        initializer_range: Standard deviation of weights that are not loaded.
        decoder_start_token_id: What the target starts with; the model reads it as a zero vector.
    """

    model_type = "ssru_marian"
    keys_to_ignore_at_inference = ["past_key_values"]
    attribute_map = {
        "hidden_size": "d_model",
        "num_attention_heads": "encoder_attention_heads",
        "num_hidden_layers": "encoder_layers",
    }

    vocab_size: int = 32001
    d_model: int = 256
    encoder_layers: int = 6
    encoder_attention_heads: int = 8
    encoder_ffn_dim: int = 1536
    decoder_layers: int = 2
    decoder_attention_heads: int = 8
    decoder_ffn_dim: int = 1536
    layer_norm_eps: float = 1e-6
    initializer_range: float = 0.02
    is_encoder_decoder: bool = True
    use_cache: bool = True
    pad_token_id: int | None = 32000
    eos_token_id: int | list[int] | None = 0
    bos_token_id: int | None = None
    decoder_start_token_id: int | None = 32000
