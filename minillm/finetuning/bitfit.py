"""BitFit: only the biases learn (Ben Zaken, Ravfogel & Goldberg 2021, arXiv:2106.10199).

Section 3: in every part of a Transformer layer, such as the queries of layer l and head m,

    Q(x) = W_q x + b_q                       (first equation; keys, values and the MLP alike)

the matrices W are frozen, and so are the scales of the norms (which are no biases); the vectors b
learn, and the head of the task.  In BERT base that is 0.09 % of the parameters.  No operation and no
parameter is new: it is a choice of what to freeze.
"""

from ..nn import Module
from .freezing import freeze, unfreeze


def bitfit(model: Module, *heads: str) -> list[str]:
    """Freeze everything but the biases and the named heads.

    heads     patterns of what learns as a whole, as for unfreeze: "classifier"
    Returns   the names of the parameters that learn now
    Raises    ValueError, before anything is changed, for a model without biases, or a pattern that
              fits nothing

    >>> from minillm.nn import LayerNorm, Linear, Sequential
    >>> bitfit(Sequential(Linear(2, 3), LayerNorm(3), Linear(3, 1)), "2")
    ['0.bias', '1.bias', '2.weight', '2.bias']
    """
    biases = [n for n, _ in model.named_parameters() if n.rpartition(".")[2].startswith("bias")]
    if not biases:
        raise ValueError(
            f"bitfit: this {type(model).__name__} has no biases to learn (a Llama has none): use "
            "add_lora"
        )
    if heads:
        unfreeze(model, *heads)  # which refuses what it does not know, before anything is frozen
    freeze(model)
    return unfreeze(model, *biases, *heads)
