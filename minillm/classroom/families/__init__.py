"""Ten operations that no article has: their forward is here, their backward is the student's to find.

Each family has free constants.  Together with a seed they make an operation whose backward stands in
no file; the formula and the reference forward are all there is.
"""

from .attention import COSINE_LAYER, DISTANCE_ATTENTION, SINK_SOFTMAX
from .base import Array, Draw, Family
from .layers import DEVIATION_NORM, SLOPED_GATE, SPIRAL_ROTATION
from .losses import LEANING_LOSS, POWER_POOL
from .sequences import COUPLED_LSTM, SHIFTED_MIXING

FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        SINK_SOFTMAX,
        DEVIATION_NORM,
        COUPLED_LSTM,
        SLOPED_GATE,
        DISTANCE_ATTENTION,
        LEANING_LOSS,
        POWER_POOL,
        SHIFTED_MIXING,
        SPIRAL_ROTATION,
        COSINE_LAYER,
    )
}

__all__ = ["FAMILIES", "Array", "Draw", "Family"]
