"""Sentence embeddings: a BERT-like encoder, the mean over its tokens, unit length."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from helpers.embedded.wire import WireError

if TYPE_CHECKING:
    import numpy.typing as npt

BATCH_SIZE = 16


class TextEncoder:
    """Turns texts into vectors whose dot product is their cosine similarity."""

    def __init__(self, model: Any, tokenizer: Any, prompts: dict[str, str]) -> None:
        """Keep a loaded model.

        Args:
            model: An ``AutoModel`` with ``last_hidden_state`` in its output.
            tokenizer: Its fast tokenizer.
            prompts: Text put before every input, by prompt name.
        """
        self._model = model.eval()
        self._tokenizer = tokenizer
        self._prompts = prompts
        positions = getattr(model.config, "max_position_embeddings", None)
        limit = tokenizer.model_max_length
        self._limit = min(limit, positions) if positions else limit

    @classmethod
    def from_folder(cls, folder: Path) -> TextEncoder:
        """Load the encoder that a built repository holds."""
        import torch
        from transformers import AutoModel, AutoTokenizer

        settings = folder / "config_sentence_transformers.json"
        prompts = json.loads(settings.read_text("utf-8"))["prompts"] if settings.exists() else {}
        tokenizer = AutoTokenizer.from_pretrained(folder)
        model = AutoModel.from_pretrained(folder, dtype=torch.float32, add_pooling_layer=False)
        return cls(model, tokenizer, prompts)

    def encode(
        self,
        texts: Sequence[str],
        *,
        normalize: bool = True,
        truncate: bool = True,
        prompt_name: str | None = None,
        truncation_direction: str = "right",
    ) -> npt.NDArray[Any]:
        """Embed texts.

        Args:
            texts: What to embed; at least one.
            normalize: Whether each vector is scaled to length 1.
            truncate: Whether a text beyond the model's limit is cut; if not, it is an error.
            prompt_name: Which of the model's prompts to put before each text.
            truncation_direction: ``"right"`` keeps the beginning, ``"left"`` the end.

        Returns:
            float32 array of shape ``(texts, hidden size)``, in the order of ``texts``.

        Raises:
            WireError: 413 for a text that is too long and may not be cut.
            ValueError: There is no such prompt.
        """
        rows = self.rows(
            texts,
            truncate=truncate,
            prompt_name=prompt_name,
            truncation_direction=truncation_direction,
        )
        return self.vectors(rows, normalize=normalize)

    def rows(
        self,
        texts: Sequence[str],
        *,
        truncate: bool = True,
        prompt_name: str | None = None,
        truncation_direction: str = "right",
    ) -> list[list[int]]:
        """Do the first half of :meth:`encode`: turn texts into tokens.

        Returns:
            For each text, the ids of its tokens, at most as many as the model takes.
        """
        return self._tokenized(self._prompted(texts, prompt_name), truncate, truncation_direction)

    def vectors(self, rows: Sequence[list[int]], *, normalize: bool = True) -> npt.NDArray[Any]:
        """Do the second half of :meth:`encode`: turn tokens into vectors.

        Returns:
            float32 array of shape ``(rows, hidden size)``.
        """
        import numpy as np

        # Texts of similar length together: less padding, less work.
        order = sorted(range(len(rows)), key=lambda index: len(rows[index]))
        vectors: list[Any] = [None] * len(rows)
        for first in range(0, len(order), BATCH_SIZE):
            batch = order[first : first + BATCH_SIZE]
            for index, vector in zip(
                batch, self._pooled([rows[i] for i in batch], normalize), strict=True
            ):
                vectors[index] = vector
        return np.stack(vectors)

    def _prompted(self, texts: Sequence[str], prompt_name: str | None) -> list[str]:
        if prompt_name is None:
            return list(texts)
        if prompt_name not in self._prompts:
            known = ", ".join(self._prompts) or "none"
            raise ValueError(f"Prompt name {prompt_name!r} not found; known prompts: {known}")
        return [self._prompts[prompt_name] + text for text in texts]

    def _tokenized(self, texts: list[str], truncate: bool, direction: str) -> list[list[int]]:
        self._tokenizer.truncation_side = direction
        rows = self._tokenizer(texts, truncation=truncate, max_length=self._limit)["input_ids"]
        longest = max(map(len, rows))
        if longest > self._limit:
            raise WireError(
                413,
                f"Input validation error: `inputs` must have less than {self._limit} tokens. "
                f"Given: {longest}",
            )
        return rows

    def _pooled(self, rows: list[list[int]], normalize: bool) -> npt.NDArray[Any]:
        import torch

        batch = self._tokenizer.pad({"input_ids": rows}, return_tensors="pt")
        mask = batch["attention_mask"].unsqueeze(-1)
        with torch.inference_mode():
            hidden = self._model(**batch).last_hidden_state
            vectors = (hidden * mask).sum(dim=1) / mask.sum(dim=1)
            if normalize:
                vectors = torch.nn.functional.normalize(vectors, dim=1)
        return vectors.numpy()
