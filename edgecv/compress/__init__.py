"""Making a trained model smaller: magnitude pruning and quantisation-aware training."""

from edgecv.compress.folding import fold_linear
from edgecv.compress.names import source_layer_name
from edgecv.compress.prune import Pruned, PruneRecipe, default_prune_recipe, prune
from edgecv.compress.qat import QatModel, QatRecipe, default_qat_recipe, quantize_aware
from edgecv.compress.sparsity import Sparsity, measure

__all__ = [
    "PruneRecipe",
    "Pruned",
    "QatModel",
    "QatRecipe",
    "Sparsity",
    "default_prune_recipe",
    "default_qat_recipe",
    "fold_linear",
    "measure",
    "prune",
    "quantize_aware",
    "source_layer_name",
]
