"""Telling who or what is the same: vectors that lie close for one identity, and distances of pairs."""

from edgecv.tasks.embedding.prediction import Embedding, Verification
from edgecv.tasks.embedding.task import EmbeddingSettings, EmbeddingTask, VerificationSettings, VerificationTask

__all__ = [
    "Embedding",
    "EmbeddingSettings",
    "EmbeddingTask",
    "Verification",
    "VerificationSettings",
    "VerificationTask",
]
