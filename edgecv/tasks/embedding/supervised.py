"""The supervised contrastive loss: of all samples of a batch, those of one identity are to be the likeliest.

Source: Khosla et al. 2020, "Supervised Contrastive Learning", eq. 2 (L_out); vectors have length 1. Tensors are
tensorflow's.
"""

from __future__ import annotations

from typing import Any

from edgecv.core.optional import require

NEVER = -1e9


def supervised_contrastive(vectors: Any, identities: Any, temperature: float) -> Any:
    """Return the mean over anchors of `-mean_p log(exp(z_a z_p / t) / sum_o exp(z_a z_o / t))`, a scalar.

    p are the other samples of the anchor's identity, o all samples but the anchor. Anchors without p do not count; 0
    where none has any.

    Args:
        vectors: float32 (n, d), of length 1.
        identities: int64 (n,).
        temperature: t, > 0.
    """
    tf = require("tensorflow", why="to train")
    itself = tf.eye(tf.shape(vectors)[0])
    alike = tf.matmul(vectors, vectors, transpose_b=True) / temperature + NEVER * itself
    likely = alike - tf.reduce_logsumexp(alike, axis=1, keepdims=True)
    same = tf.cast(tf.equal(identities[:, None], identities[None]), tf.float32) - itself
    count = tf.reduce_sum(same, axis=1)
    each = tf.reduce_sum(same * likely, axis=1) / tf.maximum(count, 1.0)
    anchors = tf.cast(count > 0, tf.float32)
    return -tf.reduce_sum(each * anchors) / tf.maximum(tf.reduce_sum(anchors), 1.0)
