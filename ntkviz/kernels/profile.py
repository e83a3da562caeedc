"""What one kernel of one model costs, measured on a few of its points by running the engine without its matrix products.

A :class:`_Ledger` takes the place of the sums: it notes the widths of what it is given and multiplies nothing. So the seconds are
those of passes, gradients, folds and copies, which grow with the points, and the widths tell the rest, which grows with the pairs.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from math import ceil

import numpy as np
import torch
from torch import nn

from ntkviz.gradients.activations import Activations, leaf_modules, readout_inputs
from ntkviz.gradients.attention import exact_attention
from ntkviz.gradients.differentiable import Differentiable, held
from ntkviz.gradients.engine import class_grams, unit_heads
from ntkviz.gradients.gram import Factor, GramSum
from ntkviz.gradients.rank import NotRankOne
from ntkviz.gradients.sketch import Sketch, sketched
from ntkviz.gradients.stream import gradient_blocks
from ntkviz.gradients.structured import add_all, add_structured
from ntkviz.gradients.terms import Term, TokensTerm
from ntkviz.kernels.calibrate import best
from ntkviz.kernels.cost import KernelProfile, Layout
from ntkviz.kernels.inputs import token_counts
from ntkviz.kernels.pntk import sum_head
from ntkviz.kernels.registry import kernels
from ntkviz.kernels.sketched import random_mixes
from ntkviz.models.probes import require_sound

#: Numbers of points for which it is found out how a kernel would be computed within the memory.
_SIZES = (512, 2048, 8192, 32768)
#: Points on which a sketch is measured: it begins with a pilot, which needs a few hundred to be what it is on thousands.
_SKETCHED_POINTS = 256
_FEATURE_POINTS = 128
_SECONDS = 0.3
