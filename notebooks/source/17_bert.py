# %% [markdown]
# # 17 · BERT: masked words and next sentences
#
# **You need:** [chapter 12](12_block.ipynb) (the Transformer block), [chapter 13](13_tokenizers.ipynb) (special tokens),
# [chapter 14](14_gpt.ipynb) (GPT, to compare with).
#
# **Time:** 20 minutes of reading, 35 for the exercises.
#
# **You will be able to** hide words as BERT does and say why it is done in such a strange way, write a loss that counts some positions
# only, tell the two losses of its pre-training apart, and say what a model gains and loses by reading both sides.

# %% [markdown]
# ## Why it matters
#
# "There, Mia ___ a big red doll, but it was too far away." She did not find it, nor buy it: she *wanted* it. You know that from the words *behind* the gap. A GPT cannot use
# them. **BERT（双向编码器表示）** can: it is an **encoder（编码器）**, whose attention has no causal mask. It cannot write stories, but
# wherever a finished text has to be understood (classified, searched, labelled) such models are small, fast and good. How to train a model
# that sees everything? It must not see the answer. So we take words away.

# %% tags=["setup"]
import math
import textwrap

import matplotlib.pyplot as plt
import numpy as np

import minillm
from minillm import Tensor, no_grad, ops
from minillm import functional as F
from minillm.data import PretrainingBatches, ToyWorld, pretraining_losses
from minillm.gradcheck import check_gradients, check_model
from minillm.models import BertConfig
from minillm.optim import AdamW, schedule
from minillm.tokenizers import BertTokenizer
from minillm.training import fit
from minillm.viz import book_style

book_style()
rng = np.random.default_rng(0)

# %% [markdown]
# The texts are stories of a corner of the toy world, as lists of sentences. Every word is one token here, so that a hidden token is a hidden word.

# %%
world = ToyWorld(choices={"": 4})
stories = world.splits(1500, 100, seed=0)
documents = [[sentence.english for sentence in story.sentences] for story in stories.train]
test_documents = [[sentence.english for sentence in story.sentences] for story in stories.test]
vocabulary = sorted({word.lower() for story in stories.train for word in story.english_tokens})
tokenizer = BertTokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *vocabulary])
pair = tokenizer(documents[0][0], documents[0][1])
tokens = tokenizer.convert_ids_to_tokens(pair.input_ids)
for segment in (0, 1):
    part = [token for token, number in zip(tokens, pair.token_type_ids) if number == segment]
    print(f"segment {segment}:", " ".join(part))
print("V =", len(tokenizer))

# %% [markdown]
# This is what BERT reads: a **sentence pair（句对）**. `[CLS]` stands for the whole, `[SEP]` ends each sentence. The **segment（片段）** ids say
# which of the two a token belongs to; the first `[SEP]` still belongs to the first.
#
# ## The model: three rows for each token
#
# Attention knows no order and no sentences, so both are added. With $W$ for words, $P$ for positions and $G$ for segments:
#
# <a id="formula-bert-embeddings"></a>
# $$x_t = \text{LayerNorm}\left( W_{s_t} + P_t + G_{c_t} \right) \tag{1}$$
#
# | symbol | shape | what it is |
# |---|---|---|
# | $s$, $c$ | $(B, T)$ | token ids; segments, 0 or 1 |
# | $W$, $P$, $G$ | $(V, C)$, $(512, C)$, $(2, C)$ | learned tables; 512 is the context length of the published model |
# | $x$ | $(B, T, C)$ | what the first block reads |
#
# The blocks are those of [chapter 12](12_block.ipynb), with the norm *behind* each addition and without a causal mask; only padding is
# hidden. Here is the embedding, and the head that turns a position's vector into logits of words. Like GPT's it uses $W$ again,
# but with one more layer before it and a bias behind it:

# %% library="minillm.models.bert:BertEmbeddings,BertTransformHead,BertMaskedWords"

# %% [markdown]
# The whole model as it is pre-trained, with two heads on top: words from every position, and one of two answers from `[CLS]`. (`pooler_output` is the vector of
# `[CLS]` after one more linear layer and a tanh.)

# %% library="minillm.models.bert:BertForPreTraining"

# %%
tiny = BertConfig(
    vocab_size=11, hidden_size=6, num_hidden_layers=1, num_attention_heads=3, intermediate_size=7,
    max_position_embeddings=8, initializer_range=0.5, hidden_dropout_prob=0.0,
    attention_probs_dropout_prob=0.0,
)
small = BertForPreTraining(tiny, dtype=np.float64, rng=rng)
ids = rng.integers(1, 11, (2, 5))
batch = {"labels": np.where(rng.random((2, 5)) < 0.4, ids, -100), "next_sentence_label": [0, 1]}
report = check_model(small, ids, **batch)
print("gradients of the whole model:", "passed" if report.passed else report)
changed = ids.copy()
changed[:, 3] = ids[:, 3] % 10 + 1
with no_grad():
    moved = abs(small(changed).logits.numpy() - small(ids).logits.numpy()).max(axis=(0, 2))
print("another token at position 3 moves the logits at 0 … 4 by", moved.round(2))

# %% tags=["check"]
assert report.passed
assert (moved > 1e-3).all()

# %% [markdown]
# In [chapter 14](14_gpt.ipynb) the same experiment gave zeros left of position 3. Here every position hears of the change. That is what *bidirectional* means, and it is also why
# BERT cannot be trained to predict the next word: it would be looking at it.
#
# ## Hiding words: 80, 10, 10
#
# **Masked language modelling（掩码语言模型）** chooses 15 % of the tokens, and asks for them. A chosen token is replaced by `[MASK]` in 80 % of the cases,
# by a random word in 10 %, and is left as it is in 10 %. It is asked for in all three cases. Why so complicated?
#
# - *Always `[MASK]`?* Later, in use, there is no `[MASK]`. A model that has to answer only there may stop thinking everywhere else.
# - *Sometimes leave it?* Then the model must have an opinion about ordinary words, too. But if an ordinary word were always right, copying would do.
# - *So sometimes lie.* Now a word that it sees is probably right, but not surely, and the context has to be weighed against it.
#
# How sure may the model be of a word that it sees? Let $q = 0.15$. Of all words, $1 - q$ are not chosen and $0.1q$ are left as they are: visible and true. Another $0.1q$ are lies:
#
# $$p(\text{true} \mid \text{visible}) = \frac{1 - q + 0.1\,q}{1 - q + 0.2\,q} = \frac{0.865}{0.88} \approx 0.983$$
#
# The library's class chooses 15 % of each sequence, rounded to whole tokens (at least one), and never a special token:

# %% library="minillm.data.masking:TokenMasker"

# %%
masker = TokenMasker(tokenizer)
rows = tokenizer([(a[0], a[1]) for a in documents], padding=True, return_tensors="np")
masked = masker(rows["input_ids"], np.random.default_rng(0))
asked = masked.labels != -100
real = rows["attention_mask"].astype(bool) & (rows["input_ids"] > 4)  # ids 0 … 4 are special
hidden = asked & (masked.input_ids == tokenizer.mask_token_id)
kept = asked & (masked.input_ids == rows["input_ids"])
print(f"asked for {asked.sum() / real.sum():.1%} of the words")
for name, part in (("[MASK]", hidden), ("another", asked & ~hidden & ~kept), ("itself", kept)):
    print(f"  {name:8}{part.sum() / asked.sum():6.1%}")
visible = real & ~hidden
true = (masked.input_ids == rows["input_ids"])[visible].mean()
print(f"a visible word is the true one in {true:.1%}")
first = masked.input_ids[0][rows["attention_mask"][0] == 1]
print(textwrap.fill(" ".join(tokenizer.convert_ids_to_tokens(first)), 86))

# %% tags=["check"]
assert abs(asked.sum() / real.sum() - 0.15) < 0.02
assert abs(hidden.sum() / asked.sum() - 0.8) < 0.02
assert abs((masked.input_ids == rows["input_ids"])[visible].mean() - 0.983) < 0.004

# %% [markdown]
# ## The loss: a mean over some positions
#
# Let $M$ be the set of positions that are asked for, and $\lvert M \rvert$ how many there are. Everywhere else the label is $-100$, a number that is no token. The loss of the
# words is the mean over $M$ alone. A second one comes on top: does the second sentence follow the first ($y = 0$) or not ($y = 1$)? With $z$ for the logits of the words and $u$
# for the two of `[CLS]`:
#
# <a id="formula-bert-pretraining-loss"></a>
# $$L = -\frac{1}{\lvert M \rvert} \sum_{t \in M} \log \frac{e^{z_{t, s_t}}}{\sum_v e^{z_{t,v}}}
#   \;-\; \log \frac{e^{u_y}}{e^{u_0} + e^{u_1}} \tag{2}$$
#
# The gradient is that of cross-entropy ([chapter 5](05_softmax_cross_entropy.ipynb)) where a word is asked for, and zero elsewhere:
#
# <a id="formula-cross-entropy-masked-backward"></a>
# $$\frac{\partial L}{\partial z_{t,v}} = \frac{[t \in M]}{\lvert M \rvert} \left( p_{t,v} - [v = s_t] \right) \tag{3}$$
#
# A classic mistake is to remember $M$ in forward and forget it in backward:

# %%
def masked_loss_forward(logits, *, labels):
    asked = labels != -100
    log_p = ops.log_softmax_forward(logits)[0]
    return -log_p[asked, labels[asked]].mean(), (log_p, labels, asked)


def masked_loss_backward_wrong(grad_out, saved):
    log_p, labels, asked = saved
    grad = np.exp(log_p)
    grad[asked, labels[asked]] -= 1
    return (grad_out * grad / asked.sum(),)


logits = rng.standard_normal((7, 5))
labels = np.array([-100, 3, -100, -100, 0, -100, 2])
print(check_gradients(ops.cross_entropy_forward, ops.cross_entropy_backward, logits, labels))
print(check_gradients(masked_loss_forward, masked_loss_backward_wrong, logits, labels=labels))

# %% tags=["check"]
[finding] = check_gradients(masked_loss_forward, masked_loss_backward_wrong, logits, labels=labels).findings
assert finding.kind == "wrong_entries"

# %% [markdown]
# Why $-100$ and not 0, which is padding anyway? Because the same loss is used for the second task, where 0 is an answer: "yes, it follows". A well-known
# implementation ignored 0, and its model never got above chance on the second task. See for yourself: two pairs, one of each kind, and whose
# gradient is zero.

# %%
for ignored in (-100, 0):
    u = Tensor(np.array([[0.2, -0.3], [0.1, 0.4]]), requires_grad=True)
    F.cross_entropy(u, np.array([0, 1]), ignore_index=ignored).backward()
    print(f"ignore_index={ignored:4}: gradient of the pair with label 0: {u.grad[0].round(3)}")

# %% tags=["check"]
assert (u.grad[0] == 0).all()

# %% [markdown]
# ## Next sentence
#
# **Next-sentence prediction（下一句预测）** takes two neighbouring sentences, or, by a fair coin, replaces the second by a sentence of another text. The answer is read off `[CLS]`: the
# only way to a low loss is to collect what both sentences say in that one vector. (Later models dropped this task, because it is often too easy: two texts differ
# in topic. Liu et al. 2019 found no harm in leaving it out.)
#
# ## Training
#
# First look at the losses *before* training, each beside what a model without knowledge has: $\ln V$ for words and $\ln 2$ for pairs. Looked at as one sum, a broken second task
# would drown in the first.

# %%
# 24 (or 64) pairs a batch, of at most 48 tokens
batches = PretrainingBatches(tokenizer, documents, 24, 48, np.random.default_rng(0))
test_batches = list(PretrainingBatches(tokenizer, test_documents, 64, 48, np.random.default_rng(1)))
minillm.manual_seed(0)
config = BertConfig(
    vocab_size=len(tokenizer), hidden_size=48, num_hidden_layers=1, num_attention_heads=4,
    intermediate_size=192, max_position_embeddings=48, hidden_dropout_prob=0.0,
    attention_probs_dropout_prob=0.0, initializer_range=0.15,
)
model = BertForPreTraining(config)
before = pretraining_losses(model, test_batches)
print(before)

# %% tags=["check"]
assert abs(before.next_sentence - math.log(2)) < 0.1
assert abs(before.masked_words - math.log(len(tokenizer))) < 0.8

# %% [markdown]
# (The words start above $\ln V$ because this narrow model gets large initial weights: see [chapter 14](14_gpt.ipynb).)

# %%
steps = 300
optimizer = AdamW(model.parameters(), lr=6e-3, weight_decay=0.01)
plan = schedule.cosine(optimizer, 30, steps, 3e-4)
curve = [(0, *before[:2])]


def look(step, history):
    if step % 50 == 0:
        curve.append((step, *pretraining_losses(model, test_batches)[:2]))
        model.train()


fit(model, optimizer, batches, steps=steps, schedule=plan, clip=1.0, on_step=look)
after = pretraining_losses(model, test_batches)
print(after)

# %% tags=["check"]
assert after.masked_words < 2.2
assert after.next_sentence < 0.5

# %% alt="Two panels over 300 steps. Left: the loss of masked words falls from above ln V, about 5, to below 2 nats. Right: the loss of next sentence falls from ln 2 to about 0.4, most of it in the first 150 steps."
fig, (left, right) = plt.subplots(1, 2, figsize=(7.2, 3.0))
at, of_words, of_pairs = zip(*curve)
left.plot(at, of_words, "o-")
left.axhline(math.log(len(tokenizer)), color="0.5", linestyle=":", label="chance, ln V")
left.set(title="masked words", xlabel="step", ylabel="loss (nats per word)", ylim=(0, None))
right.plot(at, of_pairs, "o-", color="C1")
right.axhline(math.log(2), color="0.5", linestyle=":", label="chance, ln 2")
right.set(title="next sentence", xlabel="step", ylabel="loss (nats per pair)", ylim=(0, None))
for axes in (left, right):
    axes.legend()
plt.show()

# %% [markdown]
# BERT learns from 15 % of the positions of a batch, GPT from all of them. That is the price of seeing both sides: about a seventh of the answers per text.
#
# ## Filling in the blank, with one side and with both
#
# Up to the gap, and even a little further, both rows are the same. What differs stands behind it. The column
# "found, …" adds up all verbs of getting: found, discovered, picked up and so on.

# %%
gets = {w for s in stories.train for w in [s.derivation.get("get", "").split(" ")[0]] if w}


def fill(first, second):
    """Words at the [MASK], and their probabilities."""
    row = tokenizer(first, second)
    at = list(row.input_ids).index(tokenizer.mask_token_id)
    with no_grad():
        output = model(row.input_ids[None], token_type_ids=row.token_type_ids[None])
    p, _ = ops.softmax_forward(output.logits.numpy()[0, at])
    return dict(zip(tokenizer.convert_ids_to_tokens(range(len(p))), p.tolist()))


second = "In the end, Mia felt very sad and cried about the doll."
answers = []
print(f"{'There, Mia ___ a big red doll …':38}{'wanted':>8}{'found, …':>10}   best three")
for end in (".", ", but it was too far away."):
    p = fill(f"There, Mia [MASK] a big red doll{end}", second)
    best = sorted(p, key=p.get, reverse=True)[:3]
    answers.append((p["wanted"], sum(p[word] for word in gets)))
    print(f"… doll{end:32}{answers[-1][0]:8.2f}{answers[-1][1]:10.2f}   {', '.join(best)}")

# %% tags=["check"]
assert answers[0][1] > 0.7 > answers[0][0] + 0.4
assert answers[1][0] > 0.7
assert all("but" in d for story in documents for d in story if " wanted a" in d)

# %% [markdown]
# In this world whoever wants a thing does not get it, so "wanted" comes with a "but". BERT has found out, and reads it off the right side. A GPT at the gap has seen the same
# words in both cases, and must give the same answer to both.
#
# | | GPT | BERT |
# |---|---|---|
# | sees | the left side | both sides |
# | learns from | every position | 15 % of them |
# | gives the probability of a text | yes, by the chain rule | no |
# | writes | yes | no |
# | one vector for a whole text | the last position | `[CLS]`, or the mean |
#
# ## An experiment
#
# Train with other shares: `PretrainingBatches(…, probability=0.5)` or `0.02`. Which learns more in 300 steps, and why is neither extreme good? Then leave out the
# segment ids: `pretraining_losses` on batches whose `token_type_ids` are all 0. Which of the two losses suffers?

# %% [markdown]
# ## Exercises
#
# Write your answer in the first cell of each, then run the second: it checks your code. The hints open one at a time.
# All answers: [solutions/17_bert.ipynb](solutions/17_bert.ipynb).

# %% [markdown] exercise="mask" minutes=10 teaches="a chosen word is asked for in all three cases, with its true id" catches="labels only under [MASK], labels from the changed ids, probabilities applied one after the other"
# ### Exercise 17.1: 80, 10, 10
#
# Which tokens are `chosen` is decided already. So is the draw `u`, uniform in $[0, 1)$ for each token, and a random word for each. Make inputs and labels: `[MASK]` for $u < 0.8$,
# the random word for $0.8 \le u < 0.9$, else the token itself.
#
# <details><summary>Hint 1</summary>
#
# Copy the ids before you write into them: the labels need the true ones.
#
# </details>
# <details><summary>Hint 2</summary>
#
# `np.where(condition, a, b)` twice for the inputs; once, with `chosen` alone, for the labels.
#
# </details>

# %% exercise="mask"
def mask_tokens(ids, chosen, u, random_ids, mask_id):
    """What the model reads, and what it is asked for.

    Shapes   all (B, T) -> inputs (B, T), labels (B, T) with -100 where nothing is asked
    """
    # BEGIN SOLUTION
    inputs = np.where(chosen & (u < 0.8), mask_id, ids)
    inputs = np.where(chosen & (u >= 0.8) & (u < 0.9), random_ids, inputs)
    return inputs, np.where(chosen, ids, -100)
    # END SOLUTION


# %% self_check="mask"
ids = np.array([[10, 11, 12, 13, 14, 15]])
chosen = np.array([[True, True, True, False, False, False]])
u = np.array([[0.50, 0.85, 0.95, 0.10, 0.85, 0.95]])
random_ids = np.array([[20, 21, 22, 23, 24, 25]])
original = ids.copy()
inputs, labels = mask_tokens(ids, chosen, u, random_ids, 4)
assert (ids == original).all(), "the ids that were given must stay as they are: work on a copy"
assert np.array_equal(inputs, [[4, 21, 12, 13, 14, 15]]), (
    f"masked, random, itself, and three that are not chosen: [4 21 12 13 14 15], not {inputs}"
)
assert np.array_equal(labels, [[10, 11, 12, -100, -100, -100]]), (
    f"all three chosen words are asked for, by their true ids: [10 11 12 -100 -100 -100], not {labels}"
)
print("right")

# %% wrong="mask"
def mask_tokens(ids, chosen, u, random_ids, mask_id):
    inputs = np.where(chosen & (u < 0.8), mask_id, ids)
    inputs = np.where(chosen & (u >= 0.8) & (u < 0.9), random_ids, inputs)
    return inputs, np.where(inputs == mask_id, ids, -100)


# %% wrong="mask"
def mask_tokens(ids, chosen, u, random_ids, mask_id):
    ids[chosen & (u < 0.8)] = mask_id
    swap = chosen & (u >= 0.8) & (u < 0.9)
    ids[swap] = random_ids[swap]
    return ids, np.where(chosen, ids, -100)


# %% wrong="mask"
def mask_tokens(ids, chosen, u, random_ids, mask_id):
    inputs = np.where(u < 0.8, mask_id, np.where(u < 0.9, random_ids, ids))
    inputs = np.where(chosen, inputs, ids)
    return inputs, np.where(inputs != ids, ids, -100)


# %% wrong="mask"
def mask_tokens(ids, chosen, u, random_ids, mask_id):
    inputs = np.where(chosen & (u < 0.8), mask_id, ids)
    inputs = np.where(chosen & (u < 0.9), random_ids, inputs)
    return inputs, np.where(chosen, ids, -100)


# %% [markdown] exercise="loss" minutes=15 teaches="a mean over some positions, and its gradient" catches="dividing by all positions, a gradient where nothing is asked, label 0 ignored"
# ### Exercise 17.2: the loss of the masked words
#
# Write the first part of (2) and its gradient (3) with plain NumPy, without `ops.cross_entropy`. Label 0 is a word like any other.
#
# <details><summary>Hint 1</summary>
#
# `asked = labels != -100` is a boolean array $(T,)$. `log_p[asked, labels[asked]]` picks one number from each row that counts.
#
# </details>
# <details><summary>Hint 2</summary>
#
# Backward: $p - [v = s_t]$ for the rows that count, then set all other rows to 0 and divide by the number of rows that count.
#
# </details>

# %% exercise="loss"
def masked_word_loss_forward(logits, *, labels):
    """The mean of -log p over the labels that are not -100.

    Shapes   logits (T, V), labels (T,) -> (), and whatever backward needs
    """
    # BEGIN SOLUTION
    asked = labels != -100
    shifted = logits - logits.max(axis=-1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return -log_p[asked, labels[asked]].mean(), (log_p, labels, asked)
    # END SOLUTION


def masked_word_loss_backward(grad_out, saved):
    """The gradient of the logits, in a tuple."""
    # BEGIN SOLUTION
    log_p, labels, asked = saved
    grad = np.exp(log_p)
    grad[asked, labels[asked]] -= 1
    grad[~asked] = 0
    return (grad_out * grad / asked.sum(),)
    # END SOLUTION


# %% self_check="loss"
z = np.random.default_rng(4).standard_normal((7, 5))
labels = np.array([-100, 3, -100, -100, 0, -100, 2])
loss = masked_word_loss_forward(z, labels=labels)[0]
expected = ops.cross_entropy_forward(z, labels)[0]
assert np.allclose(loss, expected), f"the loss is {loss:.4f}, over the three words it is {expected:.4f}"
report = check_gradients(masked_word_loss_forward, masked_word_loss_backward, z, labels=labels)
print(report)
assert report.passed, "the gradient is wrong: read the report"

# %% wrong="loss"
def masked_word_loss_forward(logits, *, labels):
    asked = labels != -100
    log_p = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    return -log_p[asked, labels[asked]].sum() / len(labels), (log_p, labels, asked)


def masked_word_loss_backward(grad_out, saved):
    log_p, labels, asked = saved
    grad = np.exp(log_p)
    grad[asked, labels[asked]] -= 1
    grad[~asked] = 0
    return (grad_out * grad / len(labels),)


# %% wrong="loss"
def masked_word_loss_forward(logits, *, labels):
    asked = labels != -100
    log_p = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    return -log_p[asked, labels[asked]].mean(), (log_p, labels, asked)


def masked_word_loss_backward(grad_out, saved):
    log_p, labels, asked = saved
    grad = np.exp(log_p)
    grad[np.arange(len(labels)), labels] -= 1 * asked
    return (grad_out * grad / asked.sum(),)


# %% wrong="loss"
def masked_word_loss_forward(logits, *, labels):
    asked = labels > 0
    log_p = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    return -log_p[asked, labels[asked]].mean(), (log_p, labels, asked)


def masked_word_loss_backward(grad_out, saved):
    log_p, labels, asked = saved
    grad = np.exp(log_p)
    grad[asked, labels[asked]] -= 1
    grad[~asked] = 0
    return (grad_out * grad / asked.sum(),)


# %% [markdown] exercise="pair" minutes=10 teaches="the frame of a pair, and a fair way to cut it" catches="[SEP] in the wrong segment, cutting only the second sentence, special tokens not counted"
# ### Exercise 17.3: pack a pair
#
# Build the ids and segments of `[CLS] a [SEP] b [SEP]`. If it is longer than `max_length`, take tokens away one at a time from the end of the longer sentence (of
# the second, if both are equally long).
#
# <details><summary>Hint 1</summary>
#
# Three places of `max_length` are for special tokens: `while len(a) + len(b) > max_length - 3`.
#
# </details>
# <details><summary>Hint 2</summary>
#
# Segment 0 goes from `[CLS]` to the first `[SEP]`, both included: `len(a) + 2` tokens. `a = a[:-1]` makes a new list and leaves the given one alone.
#
# </details>

# %% exercise="pair"
def pack_pair(a, b, max_length, cls=2, sep=3):
    """(ids, segments) of two lists of ids."""
    # BEGIN SOLUTION
    a, b = list(a), list(b)
    while len(a) + len(b) > max_length - 3:
        (a if len(a) > len(b) else b).pop()
    ids = [cls, *a, sep, *b, sep]
    return ids, [0] * (len(a) + 2) + [1] * (len(b) + 1)
    # END SOLUTION


# %% self_check="pair"
ids, segments = pack_pair([10, 11, 12], [20, 21], 20)
assert list(ids) == [2, 10, 11, 12, 3, 20, 21, 3], f"it should be [CLS] a [SEP] b [SEP], you made {ids}"
assert list(segments) == [0, 0, 0, 0, 0, 1, 1, 1], f"the first [SEP] belongs to segment 0: {segments}"
ids, segments = pack_pair([10, 11, 12, 13, 14, 15], [20, 21, 22], 9)
assert list(ids) == [2, 10, 11, 12, 3, 20, 21, 22, 3], (
    f"9 places hold 3 special tokens and 6 others, and the longer sentence is cut: you made {ids}"
)
ids, segments = pack_pair([10, 11, 12], [20, 21, 22], 8)
assert list(ids) == [2, 10, 11, 12, 3, 20, 21, 3], f"of equal sentences the second is cut: {ids}"
assert len(ids) == len(segments), "each token needs a segment"
print("right")

# %% wrong="pair"
def pack_pair(a, b, max_length, cls=2, sep=3):
    a, b = list(a), list(b)
    while len(a) + len(b) > max_length - 3:
        (a if len(a) > len(b) else b).pop()
    return [cls, *a, sep, *b, sep], [0] * (len(a) + 1) + [1] * (len(b) + 2)


# %% wrong="pair"
def pack_pair(a, b, max_length, cls=2, sep=3):
    ids = [cls, *a, sep, *b, sep]
    segments = [0] * (len(a) + 2) + [1] * (len(b) + 1)
    return ids[:max_length], segments[:max_length]


# %% [markdown]
# ## References
#
# - J. Devlin et al. (2019), *BERT: pre-training of deep bidirectional transformers*, arXiv:1810.04805, section 3.1 (both tasks, 80/10/10), figure 2 (the sum of embeddings, here
#   (1)), appendix A.2 (the loss is the sum, here (2)).
# - W. L. Taylor (1953), *"Cloze procedure": a new tool for measuring readability*: filling in blanks, for people.
# - Y. Liu et al. (2019), *RoBERTa*, arXiv:1907.11692, section 4.2: without next-sentence prediction.
# - In the library: [minillm/models/bert.py](../minillm/models/bert.py), [minillm/data/masking.py](../minillm/data/masking.py),
#   [minillm/data/pairs.py](../minillm/data/pairs.py); `python -m minillm task masked-words` compares a larger model with the exact answer.
