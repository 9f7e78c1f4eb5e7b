"""Making a trained model smaller: pruning, post-training quantisation steps, quantisation-aware training."""

from edgecv.compress.final_activation import PLACES, AtLogits, at_logits
from edgecv.compress.folding import fold_linear
from edgecv.compress.for_mediapipe import FRONT, ForMediapipe, for_mediapipe
from edgecv.compress.prune import Pruned, PruneRecipe, default_prune_recipe, prune
from edgecv.compress.ptq import PtqModel, PtqRecipe, prepare
from edgecv.compress.qat import QatModel, QatRecipe, default_qat_recipe, quantize_aware
from edgecv.compress.sparsity import Sparsity, measure
from edgecv.modelio.layer_names import source_layer_name

__all__ = [
    "FRONT",
    "PLACES",
    "AtLogits",
    "ForMediapipe",
    "PruneRecipe",
    "Pruned",
    "PtqModel",
    "PtqRecipe",
    "QatModel",
    "QatRecipe",
    "Sparsity",
    "at_logits",
    "default_prune_recipe",
    "default_qat_recipe",
    "fold_linear",
    "for_mediapipe",
    "measure",
    "prepare",
    "prune",
    "quantize_aware",
    "source_layer_name",
]
