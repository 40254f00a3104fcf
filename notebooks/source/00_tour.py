# %% [markdown]
# # 0 · A tour in ten minutes
#
# **You need:** Python and a little NumPy. Nothing has to be understood in every detail here; each piece has its own chapter.
#
# **Time:** 10 minutes of reading, 10 for the exercises.
#
# **You will be able to** run a cell, read a gradient check, train a small GPT, look into its attention, and choose the chapter
# to begin with.

# %% [markdown]
# ## What this book is
#
# A **language model（语言模型）** says how likely each word is at some place in a text: GPT at its end, as the next word, and
# BERT in a gap. This book builds such models from nothing but arrays, and you can run every page of it.
#
# It has one rule. Each operation comes with its formula, its shapes, a **forward pass（前向计算）** that computes it, a
# **backward pass（反向计算）** that computes its **gradient（梯度）** (how fast the result changes with each input), and a check
# that finds mistakes in the backward pass and names them. Models, training and text generation are then made of such
# operations and of nothing else.
#
# The pages are notebooks: click on a cell, change it, and press Shift+Enter to run it.

# %% tags=["setup"]
import math
import textwrap

import matplotlib.pyplot as plt
import numpy as np

import minillm
import minillm.functional as F
from minillm.data import ToyWorld
from minillm.gradcheck import check_gradients
from minillm.models import GPT2Config, GPT2LMHeadModel
from minillm.optim import AdamW, schedule
from minillm.training import fit, unigram_loss
from minillm.viz import book_style, plot_attention

book_style()
minillm.manual_seed(0)
rng = np.random.default_rng(0)

# %% [markdown]
# ## One operation
#
# A model gives each word a score. **Softmax（归一化指数）** makes probabilities of scores: positive numbers that sum to 1,
# larger for larger scores.
#
# $$p_i = \frac{e^{x_i}}{\sum_j e^{x_j}}$$
#
# The next cell is the library's own code, as it stands in [minillm/ops/softmax.py](../minillm/ops/softmax.py). `saved` is what
# forward keeps for backward; (1) is a formula of that file. Change a line, and run what follows: you will see what breaks.

# %% library="minillm.ops.softmax:softmax_forward,softmax_backward"

# %%
scores = np.array([[2.0, 1.0, 0.0], [5.0, 5.0, 5.0]])
probabilities, saved = softmax_forward(scores)
print(probabilities.round(3))

# %% tags=["check"]
assert np.allclose(probabilities.sum(axis=-1), 1)

# %% [markdown]
# ## A check that names the bug
#
# Is the backward pass right? **Gradient checking（梯度检验）** nudges every input a little, measures what happens, and compares. First
# the library's version, then one that looks plausible: "multiply by the slope, entry by entry".

# %%
x = rng.standard_normal((3, 5))
print(check_gradients(softmax_forward, softmax_backward, x), "\n")


def wrong_backward(grad_out, saved):
    p, axis = saved
    return (grad_out * p,)


print(check_gradients(softmax_forward, wrong_backward, x))

# %% tags=["check"]
assert check_gradients(softmax_forward, softmax_backward, x).passed
assert check_gradients(softmax_forward, wrong_backward, x).findings[0].kind == "missing_sum_term"

# %% [markdown]
# It does not only say *wrong*: it names the term that is missing. You will use this checker in every chapter, for the
# library's code and for your own.
#
# ## A model learns
#
# The text to learn from is a **toy world（玩具世界）**: short stories from a grammar of our own, in English and Chinese.

# %%
world = ToyWorld()
words = ["<end>", *world.vocabulary("english")]
ids = {word: number for number, word in enumerate(words)}
T = 62  # the longest story, and <end>


def encode(stories):
    """One row for each story: the words so far, and the word that comes next.

    Shapes   n stories -> inputs (n, T), targets (n, T); -100 says "nothing to predict here"
    """
    inputs, targets = np.zeros((len(stories), T), int), np.full((len(stories), T), -100)
    for row, story in enumerate(stories):
        story_ids = [ids[word] for word in story.english_tokens] + [ids["<end>"]]
        targets[row, : len(story_ids)] = story_ids
        inputs[row, 1 : len(story_ids)] = story_ids[:-1]  # begins with <end>, which is 0
    return inputs, targets


train, test = encode(world.stories(5000, seed=1)), encode(world.stories(200, seed=2))
story = world.stories(1, seed=18)[0]
for sentence in story.sentences[:3]:
    print(sentence.english)
    print(sentence.chinese)
print(f"\n{len(words)} different words; 5,000 stories to learn from, 200 others to test")

# %% [markdown]
# The **loss（损失）** is the mean surprise about the next word. The surprise is $-\log p$, where $p$ is the probability that the
# model gave to this word; its unit is the nat. A model that knows nothing has the loss $\log V$ for $V$ words. One that only
# counts how frequent each word is does better.
#
# Because the grammar is ours, the best possible loss is known: the **entropy floor（熵下界）** is the loss of somebody who knows
# the grammar by heart. No model can be better on average. So here, unlike with real texts, we can see how far a model has
# come. Where does a small GPT with two layers end after some seconds?

# %%
steps = 450  # fast: 60
minillm.manual_seed(0)
model = GPT2LMHeadModel(
    GPT2Config(
        vocab_size=len(words), n_positions=T, n_embd=48, n_layer=2, n_head=4, initializer_range=0.15,
        resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
    )  # fmt: skip
)
optimizer = AdamW(model.named_parameters(), lr=1.2e-2)
history = fit(
    model,
    optimizer,
    train,
    test,
    steps=steps,
    batch_size=8,
    loss=F.cross_entropy,
    evaluate_every=75,
    schedule=schedule.cosine(optimizer, warmup_steps=20, total_steps=steps),
)
print(f"{model.num_parameters():,} parameters, {steps} steps")

# %% picture="training" alt="The loss begins above 6 nats per word, near the value of pure ignorance, and falls below the line of word counts at 4.7 within the first steps. Then it falls slowly towards the floor at 0.76 and stays just above it."
train_words, test_words = (targets[targets >= 0] for _, targets in (train, test))
levels = {
    "knows nothing": math.log(len(words)),
    "counts words": unigram_loss(train_words, test_words, len(words)),
    "knows the grammar": world.floor("english"),
}
figure = history.plot(baselines=levels, title="A small GPT learns the toy world")
figure.axes[0].set_ylim(0, 7)
figure.axes[0].texts[-1].set_verticalalignment("top")  # the last label below its line
figure

# %% tags=["check"]
final = history.history["val_loss"][-1]
assert world.floor("english") < final < 3.0
assert steps < 200 or final < world.floor("english") + 0.2
assert abs(history.losses[0] - math.log(len(words))) < 1
assert [round(level, 1) for level in levels.values()] == [6.0, 4.7, 0.8]

# %% [markdown]
# After 450 steps the loss on stories that it has never seen is less than 0.2 nats above the floor.
#
# ## What it writes
#
# The model gives probabilities for the next word; we draw one, append it, and ask again.

# %%
def write(seed):
    """A story by the model, up to the word <end>."""
    start = np.array([[ids["<end>"]]])
    out = model.generate(
        start, max_new_tokens=T - 1, do_sample=True, temperature=0.8, eos_token_id=ids["<end>"],
        rng=np.random.default_rng(seed),
    )  # fmt: skip
    return " ".join(words[i] for i in out[0, 1:]).replace(" ,", ",").replace(" .", ".")


for seed in range(3):
    print(textwrap.fill(write(seed), 84), "\n")

# %% [markdown]
# The sentences are well formed, and the hero mostly keeps the same name, though not always the right pronoun. To keep a name,
# the model has to look back. Here is a test story without its last sentence, and the first words of one. Who comes next?

# %%
one = world.stories(1, seed=2)[0]
begin = [*one.english_tokens[: -len(one.sentences[-1].tokens["english"])], "that", "night", ","]
print(textwrap.fill(" ".join(begin), 84))
logits = model(np.array([[ids["<end>"], *(ids[word] for word in begin)]])).logits.data[0, -1]
p = softmax_forward(logits)[0]
for i in p.argsort()[::-1][:4]:
    print(f"   {words[i]:10} {p[i]:.3f}")

# %% tags=["check"]
assert steps < 200 or words[p.argmax()] == one.derivation["hero"].capitalize()

# %% [markdown]
# ## Where it looks
#
# **Attention（注意力）** is how a Transformer reads: each position looks back at earlier ones, and takes from them what it needs.
# A row of the picture shows where one word looks; each row sums to 1.

# %% picture="attention" alt="Two triangular heat maps of attention over the first words of a story, one for each of two heads. Above the diagonal everything is zero: no word looks ahead. Bright spots mark the few earlier words that each word reads from."
shown = ["<end>", *story.english_tokens[:22]]
output = model(np.array([[ids[word] for word in shown]]), output_attentions=True)
attention = output.attentions[-1][0]  # of the last layer: (heads, words, words)
before_name, name = shown.index("there") + 1, shown.index("Leo")
to_name = attention[:, before_name, name]  # from the comma after "there" to the first "Leo"
two = np.argsort(-to_name)[:2]
figure = plot_attention(
    attention[two], shown, names=[f"head {head}" for head in two],
    title="Where each word looks, in the last layer (2 of 4 heads)",
)  # fmt: skip
figure.set_size_inches(7.5, 4.2)
print("from the comma after 'there' to the name Leo, heads 0 to 3:", to_name.round(2))
figure

# %% tags=["check"]
assert np.allclose(attention.sum(axis=-1), 1, atol=1e-5)
assert np.triu(attention[0], k=1).max() == 0
assert steps < 200 or to_name.max() > 0.3

# %% [markdown]
# At the comma after "there" the model has to say who acts next, and the answer stands far back: the hero's name. The line
# above the picture shows how much of its attention each head sends there. Nobody has told the model to do that.
#
# **An experiment.** Go back to the training cell, set `n_embd=8`, and run it and everything below. What happens to the loss,
# to the hero's name, and to the attention on it? Then 48 again and `n_layer=1`: is the second layer needed in this small
# world? At last two layers and 1500 steps: how near does the loss come to the floor?
#
# ## Where to go next
#
# Chapters 1 to 5 are the ground on which all others stand. If you know gradients and softmax well, begin with 11.
#
# | chapter | what you build there |
# |---|---|
# | [1](01_arrays.ipynb) · [2](02_gradients.ipynb) · [3](03_autograd.ipynb) | arrays and broadcasting · gradients by hand, and checking them · an engine that differentiates |
# | [4](04_language_models.ipynb) · [5](05_softmax_cross_entropy.ipynb) · [6](06_embedding.ipynb) | what a language model is · softmax and cross-entropy · the first trained model |
# | [7](07_optimizers.ipynb) · [8](08_debugging.ipynb) | optimisers from SGD to AdamW · finding out why a training fails |
# | [9](09_recurrent.ipynb) | RNN and LSTM |
# | [10](10_positions.ipynb) · [11](11_attention.ipynb) · [12](12_block.ipynb) | positions · attention · the block of a Transformer |
# | [13](13_tokenizers.ipynb) · [14](14_gpt.ipynb) · [15](15_decoding.ipynb) | tokenizers · GPT · how to choose the next word |
# | [17](17_bert.ipynb) · [18](18_translation.ipynb) · [19](19_word_vectors.ipynb) | BERT · translation · word vectors |
# | [21](21_fine_tuning.ipynb) · [22](22_lora.ipynb) · [23](23_estimators.ipynb) | fine-tuning · LoRA · gradients through randomness |
# | [24](24_real_weights.ipynb) | published models, with their real weights |
# | [A](A_cuda.ipynb) · [B](B_tasks.ipynb) | the same code on a GPU · all tasks at a glance |
#
# In a terminal, `python -m minillm demo` trains a larger model on English prose, and `python -m minillm gradcheck` checks
# every operation of the library. Words that you do not know: [docs/glossary.md](../docs/glossary.md).
#
# ## Exercises
#
# Every chapter ends like this. Write your answer in the first cell of an exercise, over the line that raises, then run the
# second cell: it checks your code. The hints open one at a time. All answers:
# [solutions/00_tour.ipynb](solutions/00_tour.ipynb).

# %% [markdown] exercise="cube" minutes=5 teaches="how a forward, a backward and a check go together" catches="a forgotten cotangent, a lost factor"
# ### Exercise 0.1: your first operation
#
# Write `cube_forward`, which computes $x^3$ entry by entry and saves `x`, and `cube_backward`: the slope of $x^3$ at each
# entry, times `grad_out`, which says how much the rest of the network cares about this entry.
#
# <details><summary>Hint 1</summary>
#
# The slope of $x^3$ is $3 x^2$.
#
# </details>
# <details><summary>Hint 2</summary>
#
# `backward` returns a tuple, with one gradient for each input: `(…,)`.
#
# </details>

# %% exercise="cube"
def cube_forward(x):
    """x to the third power, and what backward needs: x."""
    # BEGIN SOLUTION
    return x * x * x, x
    # END SOLUTION


def cube_backward(grad_out, saved):
    """The gradient of x, in a tuple.

    Shapes   grad_out: that of x, which is saved -> (the same,)
    """
    # BEGIN SOLUTION
    x = saved
    return (grad_out * 3 * x * x,)
    # END SOLUTION


# %% self_check="cube"
out, _ = cube_forward(np.array([2.0, -3.0]))
assert np.allclose(out, [8.0, -27.0]), f"2 and -3 to the third power are 8 and -27, not {out}"
report = check_gradients(cube_forward, cube_backward, rng.standard_normal((2, 3)))
print(report)
assert report.passed, "the gradient is wrong: read the report"

# %% wrong="cube"
def cube_forward(x):
    return x * x * x, x


def cube_backward(grad_out, saved):
    return (3 * saved * saved,)


# %% wrong="cube"
def cube_forward(x):
    return x * x * x, x


def cube_backward(grad_out, saved):
    return (grad_out * saved * saved,)


# %% wrong="cube"
def cube_forward(x):
    return x * x, x


def cube_backward(grad_out, saved):
    return (grad_out * 2 * saved,)


# %% [markdown] exercise="surprise" minutes=5 teaches="what a loss of a language model measures" catches="the mean of probabilities in the place of the mean of logarithms"
# ### Exercise 0.2: how surprised?
#
# A model has given the words that really came the probabilities $p_1, \dots, p_n$. Its loss is the mean of $-\log p_i$. The
# **perplexity（困惑度）** is $e$ to the power of the loss: the number of equally likely words among which it would be just as
# unsure. Write `loss_and_perplexity`.
#
# <details><summary>Hint 1</summary>
#
# First the logarithm of each, then the mean. The other way round is another number.
#
# </details>
# <details><summary>Hint 2</summary>
#
# Test it in your head: if every $p_i$ is 1/8, the perplexity must be 8.
#
# </details>

# %% exercise="surprise"
def loss_and_perplexity(p):
    """The mean of -log p, and exp of it.

    Shapes   p (n,) probabilities -> two numbers
    """
    # BEGIN SOLUTION
    loss = -np.log(p).mean()
    return loss, np.exp(loss)
    # END SOLUTION


# %% self_check="surprise"
for p, expected in (([1 / 8] * 3, 8.0), ([0.5, 0.125], 4.0), ([1.0, 1.0], 1.0)):
    loss, perplexity = loss_and_perplexity(np.array(p))
    assert abs(loss - math.log(expected)) < 1e-9, f"for p = {p} the loss is {loss}, not log {expected}"
    assert abs(perplexity - expected) < 1e-9, f"for p = {p} the perplexity should be {expected}"
print("right: probabilities 1/2 and 1/8 are as surprising as 1/4 twice")

# %% wrong="surprise"
def loss_and_perplexity(p):
    loss = -np.log(p.mean())
    return loss, np.exp(loss)


# %% wrong="surprise"
def loss_and_perplexity(p):
    loss = -np.log(p).mean()
    return loss, 2**loss


# %% [markdown]
# ## References
#
# - A. Radford et al. (2019), *Language models are unsupervised multitask learners*: GPT-2, the model of this page.
# - A. Vaswani et al. (2017), *Attention is all you need*, arXiv:1706.03762, eq. 1: attention.
# - C. E. Shannon (1951), *Prediction and entropy of printed English*: how predictable a text is.
# - In the library: `minillm/ops/softmax.py`, `minillm/models/gpt2.py`, `minillm/training/loop.py`, `minillm/data/toy_world/`.
