"""Structured pruning: whole channels are taken out, so that what is left is a smaller dense network."""

from edgecv.compress.slim.channels import Dependencies, Group, dependencies
from edgecv.compress.slim.cost import CostModel, Size
from edgecv.compress.slim.plan import ChannelPlan, LayerChannels, apply
from edgecv.compress.slim.rounds import Slimmed, SlimRecipe, default_slim_recipe, slim, untrained
from edgecv.compress.slim.scores import SCORES

__all__ = [
    "SCORES",
    "ChannelPlan",
    "CostModel",
    "Dependencies",
    "Group",
    "LayerChannels",
    "Size",
    "SlimRecipe",
    "Slimmed",
    "apply",
    "default_slim_recipe",
    "dependencies",
    "slim",
    "untrained",
]
