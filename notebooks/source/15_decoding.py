# %% [markdown]
# # 15 · Decoding: sampling, beam search, the KV cache
#
# **You need:** [chapter 5](05_softmax_cross_entropy.ipynb) (softmax), [chapter 14](14_gpt.ipynb) (GPT).
#
# **Time:** 25 minutes of reading, 40 for the exercises.
#
# **You will be able to** say what temperature, top-k, top-p and the penalties do to a distribution, run a beam search by hand,
# explain why the most probable text can be a bad one, and count what a KV cache saves.

# %% [markdown]
# ## Why it matters
#
# A language model does not write. It gives a distribution over the next word, and somebody has to choose. **Decoding（解码）** is the art of
# choosing. The same model writes the same sentence forever, or nonsense, or good stories, depending on a few lines of code
# that have nothing to learn. Most options of any text-generation library stand in these lines.

# %% tags=["setup"]
import math
import textwrap

import matplotlib.pyplot as plt
import numpy as np

import minillm
from minillm import no_grad, ops
from minillm.data import LengthBatches, ToyWorld
from minillm.gradcheck import check_gradients
from minillm.models import GPT2Config, GPT2LMHeadModel
from minillm.models.counting import count_step
from minillm.optim import AdamW, schedule
from minillm.tasks.words import BOS, EOS, WordVocabulary
from minillm.training import fit
from minillm.viz import book_style

book_style()
rng = np.random.default_rng(0)

# %% [markdown]
# We need a model with something to say: a small GPT, trained for a few seconds on the stories of [chapter 14](14_gpt.ipynb).

# %%
minillm.manual_seed(0)
world = ToyWorld(choices={"": 4})
stories = world.stories(3000, seed=0)
words = WordVocabulary(sorted({word for story in stories for word in story.english_tokens}))
rows = [[BOS, *words.encode(story.english_tokens), EOS] for story in stories]
config = GPT2Config(
    vocab_size=len(words), n_positions=64, n_embd=48, n_layer=2, n_head=4, initializer_range=0.1,
    resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, eos_token_id=EOS,
)
model = GPT2LMHeadModel(config)
batches = LengthBatches({"input_ids": rows, "labels": rows}, 16, rng=np.random.default_rng(0))
optimizer = AdamW(model.parameters(), lr=6e-3)
plan = schedule.cosine(optimizer, 20, 250)
history = fit(model, optimizer, batches, steps=250, schedule=plan, clip=1.0)
print(f"loss {np.mean(history.losses[-25:]):.2f}, floor {world.floor('english'):.2f} nats per token")

# %% tags=["check"]
assert np.mean(history.losses[-25:]) < 0.65

# %% [markdown]
# ## One token: what can be done to a distribution
#
# The model has read a **prefix（前缀）** and gives logits $z$, one for each of $V$ words.
#
# **Greedy search（贪心搜索）** takes the largest. It never varies. **Sampling（采样）** draws word $i$ with probability $p_i$. It varies, and
# now and then it draws a word that the model thinks nearly impossible: each one is rare, but there are many. The options below move
# between these two ends.
#
# The **temperature（温度）** $\tau$ divides all logits before the softmax:
#
# <a id="formula-softmax-temperature"></a>
# $$p_i = \frac{e^{z_i / \tau}}{\sum_{j=1}^{V} e^{z_j / \tau}} \tag{1}$$
#
# Ratios of probabilities become powers: $p_i / p_j = (e^{z_i - z_j})^{1/\tau}$. Below 1 the rich get richer, and $\tau \to 0$ is greedy; above 1
# all become more alike, and $\tau \to \infty$ is blind chance.
#
# **Top-k sampling（top-k 采样）** keeps the $k$ most probable words, whatever they are worth. With $S$ for the words that stay:
#
# <a id="formula-process-logits-top-k"></a>
# $$i \in S \iff \#\{j : p_j > p_i\} < k, \qquad p'_i = \frac{[i \in S]\, p_i}{\sum_{j \in S} p_j} \tag{2}$$
#
# But how many good answers there are differs from place to place: after "at bedtime" there is one (a comma), for a colour many.
# **Top-p sampling（top-p 采样）** keeps as many as are needed to reach the probability $P$. A word stays if the better ones fall short of $P$:
#
# <a id="formula-process-logits-top-p"></a>
# $$i \in S \iff \sum_{j :\, p_j > p_i} p_j < P, \qquad p'_i = \frac{[i \in S]\, p_i}{\sum_{j \in S} p_j} \tag{3}$$
#
# The best word has nothing before it, $0 < P$, so it always stays. (Words of equal probability: those with smaller ids count as better.)
#
# Finally, the **repetition penalty（重复惩罚）** $r > 1$ lowers the logit of each word that the text already has:
#
# <a id="formula-process-logits-repetition"></a>
# $$z'_i = \begin{cases} z_i / r & z_i > 0 \\ z_i\, r & z_i \le 0 \end{cases} \tag{4}$$
#
# Two cases are needed because dividing a *negative* logit would raise it. (Softmax does not notice a number added to all logits, but (4) does: it is a
# trick, not a law.)
#
# | symbol | shape | what it is |
# |---|---|---|
# | $z$, $z'$ | $(B, V)$ | logits, before and after |
# | $p$, $p'$ | $(B, V)$ | probabilities; each row sums to 1 |
# | $\tau, r$ | numbers above 0 | 1 changes nothing |
# | $k$, $P$ | whole number, $0 < P \le 1$ | how many words stay, how much probability stays |
#
# ## The library's own code
#
# A word that is ruled out gets the logit $-\infty$, so that softmax makes it 0 and renormalises for free. The order is fixed: penalty,
# temperature, top-k, top-p, each on what the one before left.

# %% library="minillm.generation.sampling:process_logits,_penalize,_keep_largest,_keep_nucleus,softmax"

# %%
probabilities = np.array([[0.40, 0.30, 0.15, 0.10, 0.05]])
z = np.log(probabilities)
print("as it is        ", softmax(process_logits(z)).round(3)[0])
print("temperature 0.5 ", softmax(process_logits(z, temperature=0.5)).round(3)[0])
print("top_k=2         ", softmax(process_logits(z, top_k=2)).round(3)[0])
print("top_p=0.75      ", softmax(process_logits(z, top_p=0.75)).round(3)[0])
print("penalty, word 0 ", softmax(process_logits(z, [[0]], repetition_penalty=2.0)).round(3)[0])

# %% tags=["check"]
assert np.allclose(softmax(process_logits(z, top_p=0.75)), [[8 / 17, 6 / 17, 3 / 17, 0, 0]])
assert np.allclose(
    softmax(process_logits(z, temperature=0.5)), probabilities**2 / (probabilities**2).sum()
)

# %% [markdown]
# Check by hand: at temperature 0.5 the probabilities are squared and renormalised. With $P = 0.75$ the third word stays, because the two
# before it have 0.70, which is not enough.
#
# ## The model's opinion, four times
#
# The prefix stops where the model has to choose how somebody felt. The bars are the ten most probable words.

# %% alt="Four bar charts of the same ten words. As it is: two words near 0.32, two near 0.18, the rest almost 0. Temperature 0.5: the front two 0.4 and 0.36, the others lower. Top-k with k = 2: two bars near 0.5. Top-p with P = 0.8: three bars."
beginning = (
    "one sunny morning , Tom walked to the park . there , Tom found a small red kite . "
    "that night , Tom felt"
)
prefix = np.array([[BOS, *words.encode(beginning.split())]])
with no_grad():
    z = model(prefix).logits.numpy()[:, -1]
best = np.argsort(-z[0])[:10]
panels = {
    "as it is": {}, "temperature 0.5": {"temperature": 0.5}, "top-k, k = 2": {"top_k": 2},
    "top-p, P = 0.8": {"top_p": 0.8},
}
fig, axes = plt.subplots(2, 2, figsize=(7.2, 4.6), sharex=True, sharey=True)
for panel, (title, options) in zip(axes.flat, panels.items()):
    p = softmax(process_logits(z, **options))[0]
    panel.bar(range(10), p[best])
    panel.set_title(f"{title}: {np.count_nonzero(p)} words stay")
    panel.set_xticks(range(10), words.decode(best), rotation=60, ha="right")
for panel in axes[:, 0]:
    panel.set_ylabel("probability")
for panel in axes[1]:
    panel.set_xlabel("next word")
fig.suptitle("… that night , Tom felt", fontsize=10)
plt.show()

# %% tags=["check"]
p = dict(zip(words.words, softmax(z)[0]))
assert all(abs(p[word] - 1 / 3) < 0.06 for word in ("really", "very"))
assert all(abs(p[word] - 1 / 6) < 0.06 for word in ("quite", "so"))
assert [np.count_nonzero(softmax(process_logits(z, **o))) for o in panels.values()] == [124, 124, 2, 3]

# %% [markdown]
# The grammar's own probabilities here are 1/3, 1/3, 1/6 and 1/6, and nothing else is possible. The model knows that nearly, but it leaves a little for each of
# the other 120 words. That little is what top-k and top-p cut off.

# %% [markdown]
# ## What it does to whole texts
#
# 100 texts with each setting. A text counts as flawless if the grammar can read it, from the first word to the end.

# %%
settings = [
    {}, {"temperature": 0.5}, {"temperature": 1.5}, {"top_k": 3}, {"top_p": 0.9}, {"top_k": 1},
]
print(f"{'setting':22}{'flawless':>9}{'different':>11}")
measured = []
for options in settings:
    out = model.generate(
        [[BOS]] * 100, max_new_tokens=60, do_sample=True, rng=np.random.default_rng(1), **options
    )
    texts = [words.decode(row[1:]) for row in out]
    flawless = sum(bool(world.parses(text, "english")) for text in texts)
    measured.append((flawless, len(set(map(tuple, texts)))))
    name = ", ".join(f"{key}={value}" for key, value in options.items()) or "plain sampling"
    print(f"{name:22}{flawless:9}{measured[-1][1]:11}")

# %% tags=["check"]
assert measured[2][0] < measured[0][0] < min(measured[1][0], measured[3][0], measured[4][0])
assert measured[5][1] == 1
assert measured[1][1] > 90

# %% [markdown]
# Cutting off the improbable words helps a lot: a story is about 40 draws long, and one bad draw spoils it. Too hot, and almost nothing survives. `top_k=1` is greedy:
# here always right, and always the same.
#
# ## A backward pass, and a classic mistake
#
# Choosing itself has no gradient: nudge a logit a little, and the same word comes out. But (1) is also used *in* training, for example where
# a small model learns from the softened probabilities of a large one. With $g$ the cotangent of $p$, the chain rule gives the backward pass of
# softmax ([chapter 5](05_softmax_cross_entropy.ipynb)) times the slope of $z / \tau$:
#
# <a id="formula-softmax-temperature-backward"></a>
# $$\frac{\partial L}{\partial z_i} = \frac{1}{\tau}\, p_i \Big( g_i - \sum_j g_j p_j \Big) \tag{5}$$

# %%
def soft_forward(z, *, temperature):
    p, _ = ops.softmax_forward(z / temperature)
    return p, (p, temperature)


def soft_backward(grad_out, saved):
    p, temperature = saved
    return (p * (grad_out - (grad_out * p).sum(axis=-1, keepdims=True)) / temperature,)


def soft_backward_wrong(grad_out, saved):
    p, temperature = saved
    return (p * (grad_out - (grad_out * p).sum(axis=-1, keepdims=True)),)


x = rng.standard_normal((3, 5))
print(check_gradients(soft_forward, soft_backward, x, temperature=4.0))
print(check_gradients(soft_forward, soft_backward_wrong, x, temperature=4.0))

# %% tags=["check"]
assert check_gradients(soft_forward, soft_backward, x, temperature=4.0).passed
[finding] = check_gradients(soft_forward, soft_backward_wrong, x, temperature=4.0).findings
assert finding.kind == "scaled"
assert abs(finding.factor - 4) < 1e-3

# %% [markdown]
# The forgotten $1/\tau$ is a constant factor, and the checker says which. At $\tau = 1$ nobody would have noticed.
#
# ## Many tokens: beam search
#
# Greedy search takes the best *word* each time. That need not give the best *text*. Here is a tiny world, as a table of
# $p(\text{next} \mid \text{last})$:
#
# | after | a | the | cat | dog | end |
# |---|---|---|---|---|---|
# | start | 0.6 | 0.4 | | | |
# | a | | | 0.4 | 0.6 | |
# | the | | | 0.98 | 0.02 | |
# | cat, dog | | | | | 1 |
#
# Greedy begins with "a", never looks at "the" again, and says "a dog": $0.6 \cdot 0.6 = 0.36$. **Beam search（束搜索）** keeps
# several beginnings, here $K = 2$, the **beam width（束宽）**:
#
# 1. Beginnings: "a" 0.6, "the" 0.4. Both stay.
# 2. Extend both by every word: "the cat" 0.392, "a dog" 0.36, "a cat" 0.24, "the dog" 0.008. The first two stay.
# 3. Extend: both end with probability 1. "the cat" wins.

# %%
tiny_words = ["[start]", "a", "the", "cat", "dog", "[end]"]
table = np.zeros((6, 6))
table[0, [1, 2]] = 0.6, 0.4
table[1, [3, 4]] = 0.4, 0.6
table[2, [3, 4]] = 0.98, 0.02
table[[3, 4, 5], 5] = 1.0
with np.errstate(divide="ignore"):
    log_table = np.log(table)


def step(tokens=None, rows=None):
    """Logits after the last token of each row: all that a search needs of a model."""
    return log_table[[0] if tokens is None else tokens]  # the first call comes after [start]


# %% [markdown]
# Texts of different length need a fair comparison. Each further word multiplies by a probability below 1, so a sum of logarithms always
# prefers short texts. The **length penalty（长度惩罚）** $\alpha$ divides by a power of the length $n$, the end token counted:
#
# <a id="formula-beam-search-score"></a>
# $$\text{score}(y) = \frac{1}{n^{\alpha}} \sum_{t=1}^{n} \log p(y_t \mid \text{prefix}, y_1, \dots, y_{t-1}) \tag{6}$$
#
# $\alpha = 0$ compares sums, $\alpha = 1$ means. The search itself, for a whole batch of prefixes (`_Beams` does the bookkeeping: sums of running beams, and the best
# finished texts; its rules are written out in [minillm/generation/beam_search.py](../minillm/generation/beam_search.py)):

# %% library="minillm.generation.beam_search:beam_search"

# %%
for K in (1, 2):
    found = beam_search(step, np.array([[0]]), num_beams=K, max_length=4, eos_token_ids=[5])
    for sequence, score in zip(found.sequences[0], found.scores[0]):
        text = " ".join(tiny_words[i] for i in sequence[1:])
        print(f"K = {K}: {text:14} mean of log p {score:.3f}, p = {math.exp(3 * score):.3f}")

# %% tags=["check"]
assert found.sequences[0].tolist() == [[0, 2, 3, 5], [0, 1, 4, 5]]
assert np.allclose(found.scores[0], [math.log(0.4 * 0.98) / 3, math.log(0.36) / 3])

# %% [markdown]
# ## The most probable text can be a bad text
#
# Back to the trained model. Wider beams find texts with better scores; that is what they are for. Look at the last line before you believe that
# this is what we want:

# %%
def log_probability(text):
    """The sum of log p of all tokens after the first."""
    with no_grad():
        log_p = ops.log_softmax_forward(model(np.array([text])).logits.numpy()[0])[0]
    return sum(float(log_p[t, text[t + 1]]) for t in range(len(text) - 1))


print(f"{'':24}{'tokens':>7}{'log p':>8}{'per token':>11}")
results = {}
for K, alpha in ((1, 1.0), (4, 1.0), (16, 1.0), (4, 0.0), (16, 0.0)):
    out = model.generate([[BOS]], max_new_tokens=60, num_beams=K, length_penalty=alpha)[0].tolist()
    text = out[: out.index(EOS) + 1]
    results[K, alpha] = log_probability(text), len(text) - 1, text
    total, n, _ = results[K, alpha]
    name = "greedy" if K == 1 else f"{K} beams, alpha {alpha:.0f}"
    print(f"{name:24}{n:7}{total:8.2f}{total / n:11.3f}")
for key in ((16, 1.0), (16, 0.0)):
    print()
    text = " ".join(words.decode(results[key][2]))
    print(textwrap.fill(f"{key[0]} beams, alpha {key[1]:.0f}: {text}", 86))

# %% tags=["check"]
assert results[4, 1.0][0] >= results[1, 1.0][0] - 1e-4
assert results[16, 0.0][0] > results[16, 1.0][0] + 3
assert results[16, 0.0][1] < 10 < results[16, 1.0][1]
assert world.parses(words.decode(results[16, 1.0][2]), "english")

# %% [markdown]
# With sums and 16 beams the search finds a text that is far *more* probable than the stories above, and it is no story at all. The model gives a small
# probability to ending much too early. That is one bad decision, while a story is made of forty small ones, and their product is smaller
# still. A narrow beam drops this text at once: its results were good only because its search was bad. Comparing means
# ($\alpha = 1$) repairs it here. For open-ended writing people sample; beams are for tasks with one right answer, such as
# translation ([chapter 18](18_translation.ipynb)).
#
# ## The KV cache: the same logits for less
#
# To write token $t + 1$ the model has to read all tokens before it. But in a causal model the keys and values of earlier tokens
# never change, because no earlier token sees a later one. The **key-value cache（键值缓存）** keeps them, and a step computes one position.
# Here is the whole class; what a step calls is `append`.

# %% library="minillm.generation.cache:KVCache"

# %%
cache = model.new_cache(batch=1, capacity=64)
with no_grad():
    whole = model(prefix).logits.numpy()[0]
    pieces = [model(token[None, None], cache=cache).logits.numpy()[0, 0] for token in prefix[0]]
print(cache)
print(f"largest difference between the logits: {abs(whole - np.array(pieces)).max():.0e}")

# %% tags=["check"]
assert abs(whole - np.array(pieces)).max() < 1e-4

# %% [markdown]
# The difference is rounding of float32. What is saved? Let a block have $12 C^2$ weights in its matrices, each multiplied once per token
# ([chapter 14](14_gpt.ipynb), FLOP count a multiplication and an addition each). Writing $n$ tokens from one start token, without a cache and with it:
#
# <a id="formula-kv-cache-flop"></a>
# $$\underbrace{\sum_{t=1}^{n} \left( 24 L C^2\, t + 4 L C\, t^2 + 2VC \right)}_{\text{everything anew}}
#   \qquad \underbrace{\sum_{t=1}^{n} \left( 24 L C^2 + 4 L C\, t + 2VC \right)}_{\text{with the cache}} \tag{7}$$
#
# Each power of $t$ goes down by one. We do not measure time here; we let the library count the products that really happen:

# %%
C, L, V, n = 48, 2, len(words), 60
plain = sum(24 * L * C * C * t + 4 * L * C * t * t + 2 * V * C for t in range(1, n + 1))
cached = sum(24 * L * C * C + 4 * L * C * t + 2 * V * C for t in range(1, n + 1))
counted = {
    use: count_step(
        lambda: model.generate([[BOS]], max_new_tokens=n, use_cache=use, eos_token_id=[]), model
    ).forward_flop
    for use in (False, True)
}
print(f"{'FLOP for 60 tokens':20}{'formula':>14}{'counted':>14}")
print(f"{'everything anew':20}{plain:14,}{counted[False]:14,}")
print(f"{'with the cache':20}{cached:14,}{counted[True]:14,}   {plain / cached:.0f} times fewer")

# %% tags=["check"]
assert (plain, cached) == (counted[False], counted[True])
same = [model.generate([[BOS]], max_new_tokens=40, use_cache=use).tolist() for use in (True, False)]
assert same[0] == same[1]

# %% [markdown]
# The price is memory: two numbers per layer, channel and token. When beams change places, the cache must follow: that is what `reorder` is for.
#
# ## An experiment
#
# In the table of flawless texts, add `{"temperature": 2.0, "top_k": 3}` and `{"top_p": 0.5}`. Can top-k rescue a hot distribution? Then, in the table
# of beams, try `alpha = 0.5` with 16 beams, and find the smallest beam width at which $\alpha = 0$ goes wrong.

# %% [markdown]
# ## Exercises
#
# Write your answer in the first cell of each, then run the second: it checks your code. The hints open one at a time.
# All answers: [solutions/15_decoding.ipynb](solutions/15_decoding.ipynb).

# %% [markdown] exercise="nucleus" minutes=10 teaches="the smallest set that reaches P contains the word that crosses the line" catches="dropping the crossing word, an empty set, no renormalisation, an answer in sorted order"
# ### Exercise 15.1: the nucleus
#
# Write (3) for one row of probabilities, without ties.
#
# <details><summary>Hint 1</summary>
#
# Sort from large to small: `order = np.argsort(-p)`. Then `np.cumsum(p[order])` is what the first words have together.
#
# </details>
# <details><summary>Hint 2</summary>
#
# A word stays if the sum *before* it is below $P$. The sum before it is the cumulative sum minus its own probability.
#
# </details>

# %% exercise="nucleus"
def nucleus(p, P):
    """The distribution that is left when only the nucleus stays.

    Shapes   p (V,) -> (V,), which sums to 1
    """
    # BEGIN SOLUTION
    order = np.argsort(-p)
    before = np.cumsum(p[order]) - p[order]
    kept = np.zeros_like(p)
    stay = order[before < P]
    kept[stay] = p[stay]
    return kept / kept.sum()
    # END SOLUTION


# %% self_check="nucleus"
p = np.array([0.05, 0.40, 0.10, 0.30, 0.15])
for P, expected in (
    (0.6, [0, 4 / 7, 0, 3 / 7, 0]),
    (0.75, [0, 8 / 17, 0, 6 / 17, 3 / 17]),
    (0.1, [0, 1, 0, 0, 0]),
    (1.0, p),
):
    found = np.asarray(nucleus(p, P))
    assert np.allclose(found, expected), f"for P = {P} you found {found}, expected {np.round(expected, 4)}"
print("right")

# %% wrong="nucleus"
def nucleus(p, P):
    order = np.argsort(-p)
    stay = order[np.cumsum(p[order]) <= P]
    kept = np.zeros_like(p)
    kept[stay] = p[stay]
    return kept / max(kept.sum(), 1e-9)


# %% wrong="nucleus"
def nucleus(p, P):
    order = np.argsort(-p)
    before = np.cumsum(p[order]) - p[order]
    kept = p.copy()
    kept[order[before >= P]] = 0
    return kept


# %% wrong="nucleus"
def nucleus(p, P):
    ordered = np.sort(p)[::-1]
    kept = np.where(np.cumsum(ordered) - ordered < P, ordered, 0.0)
    return kept / kept.sum()


# %% [markdown] exercise="beams" minutes=15 teaches="candidates of all beams compete together, by their whole sums" catches="the best of each beam, comparing only the last step"
# ### Exercise 15.2: one step of a beam search
#
# $K$ running beams have the sums `sums` of log-probabilities so far. `log_p[k]` are the log-probabilities of the next word after beam $k$. Return the best
# $K$ continuations over all beams, best first. (No text ends in this exercise.)
#
# <details><summary>Hint 1</summary>
#
# There are $K \cdot V$ candidates. The sum of candidate $(k, v)$ is `sums[k] + log_p[k, v]`: broadcasting makes the whole table.
#
# </details>
# <details><summary>Hint 2</summary>
#
# Flatten the table, sort, take $K$. `divmod(i, V)` turns a place in the flat table back into beam and word.
#
# </details>

# %% exercise="beams"
def beam_step(sums, log_p):
    """The best K continuations of K beams.

    Shapes   sums (K,), log_p (K, V) -> (beams (K,), words (K,), new sums (K,)), best first
    """
    # BEGIN SOLUTION
    K, V = log_p.shape
    candidates = (sums[:, None] + log_p).ravel()
    best = np.argsort(-candidates, kind="stable")[:K]
    beams, tokens = np.divmod(best, V)
    return beams, tokens, candidates[best]
    # END SOLUTION


# %% self_check="beams"
sums = np.log([0.5, 0.3, 0.2])
log_p = np.log([[0.5, 0.45, 0.03, 0.02], [0.9, 0.05, 0.03, 0.02], [0.6, 0.2, 0.15, 0.05]])
beams, tokens, new_sums = beam_step(sums, log_p)
found = list(zip(np.asarray(beams).tolist(), np.asarray(tokens).tolist()))
assert found == [(1, 0), (0, 0), (0, 1)], (
    f"(beam, word): you found {found}, but the most probable are (1, 0) with 0.27, (0, 0) with 0.25 and "
    "(0, 1) with 0.225"
)
assert np.allclose(np.exp(new_sums), [0.27, 0.25, 0.225]), f"these sums are wrong: {new_sums}"
print("right")

# %% wrong="beams"
def beam_step(sums, log_p):
    tokens = log_p.argmax(axis=-1)
    new_sums = sums + log_p.max(axis=-1)
    order = np.argsort(-new_sums)
    return order, tokens[order], new_sums[order]


# %% wrong="beams"
def beam_step(sums, log_p):
    K, V = log_p.shape
    best = np.argsort(-log_p.ravel(), kind="stable")[:K]
    beams, tokens = np.divmod(best, V)
    return beams, tokens, sums[beams] + log_p.ravel()[best]


# %% [markdown] exercise="cache" minutes=15 teaches="what must be kept, and that a token sees itself" catches="attending before appending, keeping only the last key, the wrong axis in softmax"
# ### Exercise 15.3: attention with a cache
#
# One head, one sequence. `attend` gets the query, key and value of one new token and returns the result of attention for it. After
# $n$ calls the results must be the rows of causal attention over all $n$ tokens ([chapter 11](11_attention.ipynb)).
#
# <details><summary>Hint 1</summary>
#
# Keys and values are needed again, queries are not: token $t$ asks once.
#
# </details>
# <details><summary>Hint 2</summary>
#
# Append first, then attend: a token sees itself, too.
#
# </details>
# <details><summary>Hint 3</summary>
#
# `scores = np.array(self.keys) @ q / math.sqrt(len(q))` has shape $(S,)$. Softmax over it, then a weighted sum of the values.
#
# </details>

# %% exercise="cache"
class CachedAttention:
    """Causal attention, one token at a time."""

    def __init__(self):
        self.keys, self.values = [], []

    def attend(self, q, k, v):
        """The result for one new token.

        Shapes   q, k, v (D,) -> (D,)
        """
        # BEGIN SOLUTION
        self.keys.append(k)
        self.values.append(v)
        scores = np.array(self.keys) @ q / math.sqrt(len(q))
        weights = np.exp(scores - scores.max())
        return weights @ np.array(self.values) / weights.sum()
        # END SOLUTION


# %% self_check="cache"
q, k, v = np.random.default_rng(3).standard_normal((3, 1, 1, 5, 4))
expected = ops.scaled_dot_product_attention_forward(q, k, v, is_causal=True)[0][0, 0]
attention = CachedAttention()
for t in range(5):
    found = np.asarray(attention.attend(q[0, 0, t], k[0, 0, t], v[0, 0, t]))
    assert found.shape == (4,), f"the result for token {t} has shape {found.shape}, it should be (4,)"
    assert np.allclose(found, expected[t]), f"token {t}: you found {found}, it should be {expected[t]}"
print("right")

# %% wrong="cache"
class CachedAttention:
    def __init__(self):
        self.keys, self.values = [], []

    def attend(self, q, k, v):
        out = v
        if self.keys:
            scores = np.array(self.keys) @ q / math.sqrt(len(q))
            weights = np.exp(scores - scores.max())
            out = weights @ np.array(self.values) / weights.sum()
        self.keys.append(k)
        self.values.append(v)
        return out


# %% wrong="cache"
class CachedAttention:
    def __init__(self):
        self.keys, self.values = [], []

    def attend(self, q, k, v):
        self.keys.append(k)
        self.values.append(v)
        scores = np.array(self.keys) @ q
        weights = np.exp(scores - scores.max())
        return weights @ np.array(self.values) / weights.sum()


# %% [markdown]
# ## References
#
# - A. Fan, M. Lewis, Y. Dauphin (2018), *Hierarchical neural story generation*, arXiv:1805.04833, section 5.4: top-k, here (2).
# - A. Holtzman et al. (2020), *The curious case of neural text degeneration*, arXiv:1904.09751, eq. 2-3: top-p, here (3).
# - N. S. Keskar et al. (2019), *CTRL*, arXiv:1909.05858, section 4.1: repetition penalty, here (4).
# - G. Hinton, O. Vinyals, J. Dean (2015), *Distilling the knowledge in a neural network*, arXiv:1503.02531, eq. 1: temperature, here (1).
# - F. Stahlberg, B. Byrne (2019), *On NMT search errors and model errors*, arXiv:1908.10090: the most probable translation is often empty.
# - R. Pope et al. (2022), *Efficiently scaling transformer inference*, arXiv:2211.05102, section 2.1: the KV cache.
# - In the library: [minillm/generation/sampling.py](../minillm/generation/sampling.py),
#   [minillm/generation/beam_search.py](../minillm/generation/beam_search.py), [minillm/generation/cache.py](../minillm/generation/cache.py).
