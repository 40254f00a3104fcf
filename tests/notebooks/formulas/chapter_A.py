"""What a model costs, counted multiplication by multiplication."""

from minillm.models import GPT2Config, model_cost

from ..registry import formula

config = GPT2Config(vocab_size=13, n_positions=7, n_embd=6, n_layer=1, n_head=2)
cost = model_cost(config, batch_size=3, length=5)


def counted(m, k, n):
    """The multiplications and additions of a product, one by one."""
    flop = 0
    for _ in range(m):
        for _ in range(n):
            for _ in range(k):
                flop += 2
    return flop


@formula("matmul-cost", r"\text{FLOP}(a\,b) = 2\, m\, n\, k")
def matmul():
    tokens = 3 * 5
    literal = [counted(tokens, 6, 6), counted(tokens, 6, 13)]
    return literal, [cost.part("attention output").flop, cost.part("LM head").flop]


@formula("training-cost", r"\text{FLOP} \approx 6\, P\, D")
def training():
    return sum(6 for _ in range(cost.parameters) for _ in range(3 * 5)), cost.rule_flop


@formula("parameter-memory", r"\text{bytes} = 4 \cdot 4\, P")
def memory():
    copies = sum(4 for _ in ("value", "gradient", "m", "v"))
    return copies * cost.parameters, 2 * cost.parameter_bytes + cost.adam_bytes
