# %% [markdown]
# # 18 · Encoder-decoder and translation
#
# **You need:** [chapter 11](11_attention.ipynb) (attention), [chapter 12](12_block.ipynb) (the block), [chapter 14](14_gpt.ipynb) (teacher
# forcing), [chapter 15](15_decoding.ipynb) (greedy and beam search).
#
# **Time:** 25 minutes of reading, 40 for the exercises.
#
# **You will be able to** connect an encoder to a decoder by cross-attention, put the right mask in each of three places, train a translator from
# English to Chinese in seconds, and measure it.

# %% [markdown]
# ## Why it matters
#
# Translation is what the Transformer was invented for. It reads one sequence and writes another, of another length and order. Summaries, answers and
# transcriptions of speech have the same shape. The idea is to take the two models you know: an **encoder（编码器）** that sees all of the
# source, like BERT, and a **decoder（解码器）** that writes from left to right, like GPT. Only the bridge between them is new.

# %% tags=["setup"]
import math
import textwrap
from collections import Counter

import matplotlib.pyplot as plt
import numpy as np

import minillm
from minillm import no_grad, ops
from minillm.data import LengthBatches, ToyWorld
from minillm.data.toy_world.text import join
from minillm.debugging import recording
from minillm.gradcheck import check_gradients, check_model
from minillm.models import Seq2SeqConfig, Seq2SeqTransformer
from minillm.optim import AdamW, schedule
from minillm.tasks.words import BOS, EOS, PAD, WordVocabulary
from minillm.training import bleu, fit
from minillm.viz import book_style, missing_glyphs_line

book_style()
rng = np.random.default_rng(0)

# %% [markdown]
# The toy world tells every story in both languages, so its sentences are a **parallel corpus（平行语料）**. The test sentences do not occur in training, in
# either language.

# %%
world = ToyWorld(choices={"": 4})
stories = world.splits(1500, 100, seed=0)


def sentence_pairs(some_stories):
    found = {s.english: s.tokens for story in some_stories for s in story.sentences}
    return [(tokens["english"], tokens["chinese"]) for tokens in found.values()]


train = sentence_pairs(stories.train)
known = {tuple(side) for pair in train for side in pair}
test = [pair for pair in sentence_pairs(stories.test) if not known & set(map(tuple, pair))][:100]
words = WordVocabulary(sorted({word for pair in train for side in pair for word in side}))
print(f"{len(train)} pairs to train on, {len(test)} to test on, V = {len(words)} words of both languages")
for english, chinese in (test[1], test[3]):
    print()
    print(" ".join(english))
    print(" ".join(chinese))

# %% tags=["check"]
assert len(test) == 100

# %% [markdown]
# Mind the order: a measure word (只) stands between number and thing, and 和 他 的 爸爸, "with his father", comes before the verb. Word for word will not do.
#
# ## Cross-attention
#
# **Cross-attention（交叉注意力）** is attention whose queries come from one sequence, and whose keys and values come from another. A target word asks, the source
# answers. With one head, $q_t$ from the decoder, and $k_s$, $v_s$ from the encoder's result:
#
# <a id="formula-scaled-dot-product-attention-cross"></a>
# $$a_{ts} = \frac{e^{q_t \cdot k_s / \sqrt{D}}}{\sum_{r=1}^{S} e^{q_t \cdot k_r / \sqrt{D}}}, \qquad
#   o_t = \sum_{s=1}^{S} a_{ts} v_s \tag{1}$$
#
# | symbol | shape | what it is |
# |---|---|---|
# | $q$ | $(T, D)$ | queries, one for each target position |
# | $k$, $v$ | $(S, D)$ | keys and values, one for each source position |
# | $a$ | $(T, S)$ | who looks where; no longer square |
# | $o$ | $(T, D)$ | for each target position a mix of source values |
#
# The formula is that of [chapter 11](11_attention.ipynb); only the shapes have changed. Backward follows in the same way. Watch the direction of the sums: with $g_t$ the
# cotangent of $o_t$, each source position collects from *all* target positions that looked at it:
#
# <a id="formula-scaled-dot-product-attention-cross-backward"></a>
# $$\frac{\partial L}{\partial v_s} = \sum_{t=1}^{T} a_{ts}\, g_t, \qquad
#   \frac{\partial L}{\partial k_s} = \frac{1}{\sqrt{D}} \sum_{t=1}^{T} a_{ts} \Big( g_t \cdot v_s - \sum_{r=1}^{S} a_{tr}\, g_t \cdot v_r \Big) q_t \tag{2}$$
#
# Both end up in the encoder, which has no loss of its own. Everything it learns, it learns through (2).
#
# Keys and values are made from the same vectors, the **memory** $m$. So the gradient of $m$ has two parts, and one is easily lost. Here is the smallest cross-attention, with
# $k = v = m$, and a backward pass that forgets the values:

# %%
def cross_forward(x, memory):
    a, _ = ops.softmax_forward(x @ memory.T / math.sqrt(x.shape[-1]))
    return a @ memory, (x, memory, a)


def cross_backward_wrong(grad_out, saved):
    x, memory, a = saved
    grad_a = grad_out @ memory.T
    grad_scores = a * (grad_a - (grad_a * a).sum(axis=-1, keepdims=True)) / math.sqrt(x.shape[-1])
    return grad_scores @ memory, grad_scores.T @ x


x, memory = rng.standard_normal((3, 5)), rng.standard_normal((7, 5))
wrong = check_gradients(cross_forward, cross_backward_wrong, x, memory)
print(wrong)

# %% tags=["check"]
assert [finding.kind for finding in wrong.findings] == ["dropped_branch"]

# %% [markdown]
# ## The decoder's layer
#
# A decoder layer is a GPT block with cross-attention in the middle. Follow `memory` through it:

# %% library="minillm.nn.transformer:TransformerDecoderLayer"

# %%
layer = TransformerDecoderLayer(6, 3, 8, 0.0, norm_first=True, dtype=np.float64, rng=rng)
target, memory = rng.standard_normal((2, 4, 6)), rng.standard_normal((2, 5, 6))
report = check_model(layer, target, memory, is_causal=True)
print("the layer:", "passed" if report.passed else report)

# %% tags=["check"]
assert report.passed

# %% [markdown]
# ## Three masks
#
# There are three attentions in the model, and each hides something else. True means *may look*.
#
# | attention | shape | hides | what happens without |
# |---|---|---|---|
# | encoder, to itself | $(S, S)$ | padding of the source | the same sentence means something else in another batch |
# | decoder, to itself | $(T, T)$ | what comes later | the answer is copied, the loss falls below the floor |
# | decoder, to the source | $(T, S)$ | padding of the source | as above |
#
# The cross-attention is *not* causal: the first target word may look at the last source word, and in translation it often must. Padding of the *target* needs no mask of its own. It stands behind the
# real words, where the causal mask hides it, and its labels are $-100$.
#
# ## Teacher forcing, and the shift
#
# In training, the decoder reads the right translation, moved by one place: `[BOS]` first, the last word left out. So position $t$ is asked for word $t$ and has read those before it:

# %%
config = Seq2SeqConfig(
    vocab_size=len(words), d_model=48, nhead=4, num_encoder_layers=1, num_decoder_layers=1,
    dim_feedforward=192, dropout=0.0, norm_first=True, max_position_embeddings=64,
    pad_token_id=PAD, decoder_start_token_id=BOS, eos_token_id=EOS,
)
minillm.manual_seed(0)
model = Seq2SeqTransformer(config)
labels = np.array([[*words.encode(test[0][1][:5]), EOS, -100]])
name = {number: words.words[number] for number in range(len(words))} | {-100: "(-100)"}
print("decoder reads: ", *[name[i] for i in model.shift_right(labels)[0]])
print("decoder writes:", *[name[i] for i in labels[0]])

# %% [markdown]
# Here the labels stand where they are predicted. (A GPT shifts inside the loss, [chapter 14](14_gpt.ipynb); mixing the two conventions is a popular way to train on nonsense.)
# One more test, of the masks. A source with padding must give the same logits as without:

# %%
source = np.array([words.encode(test[0][0])])
padded = np.pad(source, ((0, 0), (0, 4)), constant_values=PAD)
shown = (np.arange(padded.shape[1]) < source.shape[1]).astype(int)[None]
with no_grad():
    plain = model(source, labels=labels).logits.numpy()
    with_mask = model(padded, attention_mask=shown, labels=labels).logits.numpy()
    without_mask = model(padded, labels=labels).logits.numpy()
print(f"padding with mask changes the logits by    {abs(with_mask - plain).max():.0e}")
print(f"padding without mask changes the logits by {abs(without_mask - plain).max():.2f}")

# %% tags=["check"]
assert abs(with_mask - plain).max() < 1e-5
assert abs(without_mask - plain).max() > 1e-2

# %% [markdown]
# ## Training
#
# The loss is cross-entropy ([chapter 5](05_softmax_cross_entropy.ipynb)) over the target words and `[EOS]`. We stop once on the way, to keep a half-trained model for an experiment.

# %%
def columns(pairs):
    return {
        "input_ids": [words.encode(english) for english, _ in pairs],
        "labels": [[*words.encode(chinese), EOS] for _, chinese in pairs],
    }


steps = 400
batches = LengthBatches(columns(train), 32, rng=np.random.default_rng(0))
test_batches = LengthBatches(columns(test), 50, shuffle=False)
optimizer = AdamW(model.parameters(), lr=5e-3, weight_decay=0.01, betas=(0.9, 0.98))
plan = schedule.cosine(optimizer, 40, steps, 2.5e-4)
half_trained = {}


def keep(step, history):
    if step == 120:
        half_trained.update({name: array.copy() for name, array in model.state_dict().items()})


history = fit(
    model, optimizer, batches, test_batches, steps=steps, schedule=plan, clip=1.0, evaluate_every=80,
    on_step=keep,
)
print(f"loss on test sentences {history.history['val_loss'][-1]:.3f} nats per word")

# %% tags=["check"]
assert history.history["val_loss"][-1] < 0.1

# %% [markdown]
# ## Measuring: BLEU
#
# A translation is compared with a reference. Being right word for word is a hard test; **BLEU（双语评估替补）** counts shared runs of $n$ words, for $n = 1 \dots 4$. $p_n$ is the share of runs of
# the translations that are in the references, where a run counts at most as often as the reference has it (*clipping*). Short translations get good shares too easily,
# so there is a **brevity penalty（简短惩罚）**. With $c$ and $r$ for the numbers of words in all translations and in all references:
#
# <a id="formula-bleu"></a>
# $$\text{BLEU} = 100 \cdot \min\left(1, e^{1 - r/c}\right) \cdot \Big( \prod_{n=1}^{4} p_n \Big)^{1/4} \tag{3}$$
#
# The counts are those of the whole test set together. For Chinese, characters are counted as words.

# %%
def translate(pairs, num_beams=1):
    sources = [words.encode(english) for english, _ in pairs]
    batch = LengthBatches({"input_ids": sources}, 50, shuffle=False)
    said = [None] * len(pairs)
    for i in range(len(batch)):
        part = batch.batch(i)
        out = model.generate(
            part["input_ids"], attention_mask=part["attention_mask"], max_new_tokens=30,
            num_beams=num_beams,
        )
        for row, ids in zip(batch.rows(i).tolist(), out[:, 1:]):
            said[row] = words.decode(ids)
    return said


def scores(said):
    right = [chinese for _, chinese in test]
    exact = sum(a == b for a, b in zip(said, right))
    texts = [[join(tokens, "chinese")[0] for tokens in some] for some in (said, right)]
    return bleu(*texts, tokenize="zh"), exact


said = translate(test)
score, exact = scores(said)
shuffled = [test[(i + 1) % len(test)][1] for i in range(len(test))]
for who, (points, same) in {"the model": (score, exact), "another sentence": scores(shuffled)}.items():
    print(f"{who:17} BLEU {points:5.1f}, {same:3} of 100 right word for word")
for (english, chinese), words_said in list(zip(test, said))[3:6]:
    print()
    print(" ", " ".join(english))
    print(" ", join(words_said, "chinese")[0])
    if words_said != chinese:
        print("  right:", join(chinese, "chinese")[0])

# %% tags=["check"]
assert score > 93
assert exact > 75
assert scores(shuffled)[0] < 60

# %% [markdown]
# (In this world a translation is a function of the sentence, so 100 is possible. On real text, two good translators do not reach 100 against each other.)
#
# ## A picture: who looks where
#
# The weights $a_{ts}$ of (1) while the model reads one pair, the mean over its heads. Each row belongs to the word that is to be written, and sums to 1. `recording` listens to all
# calls of operations; the third attention is the cross-attention.

# %%
english, chinese = next(pair for pair in test if "with" in pair[0])
calls = []
with no_grad(), recording(lambda node, values, outs, options: calls.append((node.op.name, values))):
    model([words.encode(english)], labels=[[*words.encode(chinese), EOS]])
q, k, v = [values for op, values in calls if op == "scaled_dot_product_attention"][2][:3]
weights = ops.attention_probabilities(q, k)[0].mean(axis=0)
written = [*chinese, "[EOS]"]
problem = missing_glyphs_line("".join(written))
print(problem or "Chinese labels can be drawn here.")
print(textwrap.fill(" ".join(f"{i}:{word}" for i, word in enumerate(written, start=1)), 60))

# %% alt="A heat map: rows are the 17 Chinese words to be written, columns the 12 English words. The rows of windy, evening, Tom, with and father are brightest at these English words; other rows are spread out. The row of father stands above that of hurried, though father comes last in English."
numbers = [str(number) for number in range(1, len(written) + 1)]
fig, axes = plt.subplots(figsize=(6.4, 4.8))
image = axes.imshow(weights, vmin=0)
axes.set_xticks(range(len(english)), english, rotation=90)
axes.set_yticks(range(len(written)), numbers if problem else written)
axes.set(title="Cross-attention, mean of 4 heads", xlabel="source word (key)")
axes.set_ylabel("target word to be written (query)")
fig.colorbar(image, label="attention weight")
plt.show()

# %% tags=["check"]
assert weights.shape == (len(written), len(english))
assert np.allclose(weights.sum(axis=1), 1, atol=1e-5)
pairs_of_words = {"刮风": "windy", "傍晚": "evening", "汤姆": "Tom", "和": "with", "爸爸": "father"}
assert list(pairs_of_words) == [word for word in chinese if word in pairs_of_words]
seen = {word: english[weights[chinese.index(word)].argmax()] for word in pairs_of_words}
assert sum(seen[word] == pairs_of_words[word] for word in seen) >= 4, seen

# %% [markdown]
# Look at the rows of 刮风 (windy), 傍晚 (evening), 汤姆 (Tom), 和 (with) and 爸爸 (father). Nobody told the model which word belongs to which. It found the **alignment（对齐）** because it helps to lower the loss. Do not read too much into such maps, though: the encoder has mixed the
# source words already, so a look at "with" can fetch what the encoder stored there about "father".
#
# ## Free running: whose mistakes are read
#
# When it writes, the model reads *its own* words. If one is wrong, it goes on from a beginning that training never showed it. This is **exposure bias（曝光偏差）**. The half-trained model
# makes enough mistakes to see it. For each sentence we compare two runs: with the right words before it (teacher forcing), and free.

# %%
trained = {name: array.copy() for name, array in model.state_dict().items()}
model.load_state_dict(half_trained)
forced = []
for english, chinese in test:
    with no_grad():
        z = model([words.encode(english)], labels=[[*words.encode(chinese), EOS]]).logits.numpy()[0]
    forced.append(z.argmax(axis=-1))
free = [[*words.encode(sentence), EOS] for sentence in translate(test)]
tally = {"before the first mistake": [], "after it": []}
for (_, chinese), with_teacher, alone in zip(test, forced, free):
    right = np.array([*words.encode(chinese), EOS])
    alone = np.array([*alone, *[PAD] * len(right)])[: len(right)]
    wrong_at = np.flatnonzero(with_teacher != right)
    if wrong_at.size:
        at = wrong_at[0]
        for where, part in zip(tally, (slice(at), slice(at + 1, None))):
            tally[where].append([(run == right)[part] for run in (with_teacher, alone)])
print(f"sentences with a mistake: {len(tally['after it'])} of {len(test)}")
print(f"{'share of right words':28}{'teacher forcing':>17}{'free running':>14}")
shares = {}
for where, found in tally.items():
    shares[where] = [np.concatenate(column).mean() for column in zip(*found)]
    print(f"{where:28}{shares[where][0]:17.0%}{shares[where][1]:14.0%}")

# %% tags=["check"]
assert shares["before the first mistake"] == [1.0, 1.0]
assert shares["after it"][0] > shares["after it"][1] + 0.03

# %% [markdown]
# Up to the first mistake, both runs read the same words and must agree: 100 % in both columns, by definition. After it they part. With a teacher, the next word is read after the right ones again; alone, one
# mistake makes further ones likely. A loss measured with teacher forcing does not show this. Measure what you use.
#
# ## Greedy or beams?
#
# The same half-trained model, and then the trained one, with greedy search and with four beams ([chapter 15](15_decoding.ipynb)):

# %%
print(f"{'':24}{'BLEU':>7}{'exact':>7}")
found = {}
for stage, weights_then in (("half-trained", half_trained), ("trained", trained)):
    model.load_state_dict(weights_then)
    for beams in (1, 4):
        found[stage, beams] = scores(translate(test, num_beams=beams))
        name_of_row = f"{stage}, {'greedy' if beams == 1 else '4 beams'}"
        print(f"{name_of_row:24}{found[stage, beams][0]:7.1f}{found[stage, beams][1]:7}")

# %% tags=["check"]
assert found["trained", 1] == (score, exact)
assert found["half-trained", 1][1] < exact
assert abs(found["trained", 4][0] - score) < 2

# %% [markdown]
# Beams help a model that hesitates, if at all; one that is sure says the same either way. Look at your own numbers before you pay four times the price.
#
# ## An experiment
#
# Translate in the other direction: exchange the two sides in `columns`, `translate` and `scores` (`tokenize="13a"` for English). Which direction is easier? In Chinese the measure word tells a little about
# the thing, in English "a" or "an" tells a little about the next word. Then train on 300 of the pairs only, and compare the loss on training and test sentences.

# %% [markdown]
# ## Exercises
#
# Write your answer in the first cell of each, then run the second: it checks your code. The hints open one at a time.
# All answers: [solutions/18_translation.ipynb](solutions/18_translation.ipynb).

# %% [markdown] exercise="shift" minutes=8 teaches="what the decoder reads while it is trained" catches="np.roll, -100 left in the input, shifting to the left"
# ### Exercise 18.1: shift right
#
# From the labels $(B, T)$ make what the decoder reads: the start token, then all labels but the last. A label of $-100$ is no token; read `pad` in its place. Leave the labels as they are.
#
# <details><summary>Hint 1</summary>
#
# The result has the shape of the labels: one column comes in on the left, one falls out on the right.
#
# </details>
# <details><summary>Hint 2</summary>
#
# `np.concatenate([start, rest], axis=1)`, where `start` has shape $(B, 1)$. `np.where` replaces without changing its input.
#
# </details>

# %% exercise="shift"
def shift_right(labels, start, pad):
    """What the decoder reads to predict these labels.

    Shapes   labels (B, T) -> (B, T)
    """
    # BEGIN SOLUTION
    first = np.full((len(labels), 1), start)
    rest = np.where(labels[:, :-1] == -100, pad, labels[:, :-1])
    return np.concatenate([first, rest], axis=1)
    # END SOLUTION


# %% self_check="shift"
labels = np.array([[7, 8, 9, 2], [5, 2, -100, -100]])
original = labels.copy()
found = np.asarray(shift_right(labels, 1, 0))
expected = [[1, 7, 8, 9], [1, 5, 2, 0]]
assert (labels == original).all(), "the labels that were given must stay as they are: work on a copy"
assert np.array_equal(found, expected), f"you made {found.tolist()}, it should be {expected}"
print("right")

# %% wrong="shift"
def shift_right(labels, start, pad):
    rolled = np.roll(labels, 1, axis=1)
    return np.where(rolled == -100, pad, rolled)


# %% wrong="shift"
def shift_right(labels, start, pad):
    return np.concatenate([np.full((len(labels), 1), start), labels[:, :-1]], axis=1)


# %% [markdown] exercise="cross" minutes=20 teaches="gradients that flow from the decoder into the encoder" catches="the values forgotten, the scale, a softmax without its sum"
# ### Exercise 18.2: cross-attention, backward
#
# The smallest cross-attention of this chapter, $k = v = m$, once more. Forward is given. Write backward, with both parts of the gradient of the memory.
#
# <details><summary>Hint 1</summary>
#
# Go backwards step by step: $o = a m$ gives the gradient of $a$ and a first part for $m$. Then softmax. Then the scores $x m^\top / \sqrt{D}$, which give the gradient of $x$ and the second part for $m$.
#
# </details>
# <details><summary>Hint 2</summary>
#
# `grad_a = grad_out @ memory.T`, and through softmax `grad_scores = a * (grad_a - (grad_a * a).sum(axis=-1, keepdims=True))`. The scale $1 / \sqrt{D}$ belongs to the next step.
#
# </details>
# <details><summary>Hint 3</summary>
#
# Shapes decide the rest: the gradient of `memory` is $(S, D)$, so it must be `a.T @ …` plus `grad_scores.T @ …`.
#
# </details>

# %% exercise="cross"
def attend_forward(x, memory):
    """Each row of x looks at the rows of memory.

    Shapes   x (T, D), memory (S, D) -> (T, D), and what backward needs
    """
    a, _ = ops.softmax_forward(x @ memory.T / math.sqrt(x.shape[-1]))
    return a @ memory, (x, memory, a)


def attend_backward(grad_out, saved):
    """The gradients of x and memory."""
    x, memory, a = saved
    # BEGIN SOLUTION
    grad_a = grad_out @ memory.T
    grad_scores = a * (grad_a - (grad_a * a).sum(axis=-1, keepdims=True)) / math.sqrt(x.shape[-1])
    return grad_scores @ memory, grad_scores.T @ x + a.T @ grad_out
    # END SOLUTION


# %% self_check="cross"
x, memory = np.random.default_rng(5).standard_normal((2, 7, 5))
x = x[:3]
gradients = attend_backward(np.ones((3, 5)), attend_forward(x, memory)[1])
assert [g.shape for g in gradients] == [(3, 5), (7, 5)], "give a gradient for x (T, D) and for memory (S, D)"
report = check_gradients(attend_forward, attend_backward, x, memory)
print(report)
assert report.passed, "a gradient is wrong: read the report"

# %% wrong="cross"
def attend_forward(x, memory):
    a, _ = ops.softmax_forward(x @ memory.T / math.sqrt(x.shape[-1]))
    return a @ memory, (x, memory, a)


def attend_backward(grad_out, saved):
    x, memory, a = saved
    return grad_out @ memory.T @ memory / math.sqrt(x.shape[-1]), a.T @ grad_out


# %% wrong="cross"
def attend_forward(x, memory):
    a, _ = ops.softmax_forward(x @ memory.T / math.sqrt(x.shape[-1]))
    return a @ memory, (x, memory, a)


def attend_backward(grad_out, saved):
    x, memory, a = saved
    grad_a = grad_out @ memory.T
    grad_scores = a * (grad_a - (grad_a * a).sum(axis=-1, keepdims=True))
    return grad_scores @ memory, grad_scores.T @ x + a.T @ grad_out


# %% wrong="cross"
def attend_forward(x, memory):
    a, _ = ops.softmax_forward(x @ memory.T / math.sqrt(x.shape[-1]))
    return a @ memory, (x, memory, a)


def attend_backward(grad_out, saved):
    x, memory, a = saved
    grad_scores = a * (1 - a) * (grad_out @ memory.T) / math.sqrt(x.shape[-1])
    return grad_scores @ memory, grad_scores.T @ x + a.T @ grad_out


# %% [markdown] exercise="bleu" minutes=15 teaches="clipped counts, the whole test set together, the brevity penalty" catches="no clipping, a mean over sentences, the penalty upside down"
# ### Exercise 18.3: BLEU
#
# Write (3) for lists of sentences, each a list of words. All $p_n$ in the check are above 0.
#
# <details><summary>Hint 1</summary>
#
# The runs of one sentence: `Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))`.
#
# </details>
# <details><summary>Hint 2</summary>
#
# `said & right` of two Counters takes the smaller count of each run: that is the clipping. Add up matches and runs over all sentences before you divide.
#
# </details>

# %% exercise="bleu"
def my_bleu(translations, references):
    """BLEU of a test set, 0 … 100.

    translations, references   equally many lists of words
    """
    # BEGIN SOLUTION
    log_p = 0.0
    for n in range(1, 5):
        matches = runs = 0
        for said, right in zip(translations, references):
            counts, allowed = (
                Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))
                for words in (said, right)
            )
            matches += (counts & allowed).total()
            runs += counts.total()
        log_p += math.log(matches / runs) / 4
    c, r = (sum(map(len, sentences)) for sentences in (translations, references))
    return 100 * min(1.0, math.exp(1 - r / c)) * math.exp(log_p)
    # END SOLUTION


# %% self_check="bleu"
right = ["the cat sat on the mat near the door".split(), "a dog ran to the park with a red ball".split()]
cases = {
    "the same words": right,
    "a word that is said too often": ["the cat sat on the the the mat near the door".split(), right[1]],
    "a translation that is too short": [right[0], right[1][:6]],
    "another order": ["near the door the cat sat on the mat".split(), right[1][:8]],
}
for name, said in cases.items():
    expected = bleu([" ".join(s) for s in said], [" ".join(r) for r in right], tokenize="none")
    found = my_bleu(said, right)
    assert math.isclose(found, expected, abs_tol=1e-6), f"{name}: you found {found:.3f}, it should be {expected:.3f}"
print("right")

# %% wrong="bleu"
def my_bleu(translations, references):
    log_p = 0.0
    for n in range(1, 5):
        matches = runs = 0
        for said, right in zip(translations, references):
            allowed = {tuple(right[i : i + n]) for i in range(len(right) - n + 1)}
            found = [tuple(said[i : i + n]) for i in range(len(said) - n + 1)]
            matches += sum(run in allowed for run in found)
            runs += len(found)
        log_p += math.log(matches / runs) / 4
    c, r = (sum(map(len, sentences)) for sentences in (translations, references))
    return 100 * min(1.0, math.exp(1 - r / c)) * math.exp(log_p)


# %% wrong="bleu"
def my_bleu(translations, references):
    log_p = 0.0
    for n in range(1, 5):
        matches = runs = 0
        for said, right in zip(translations, references):
            counts, allowed = (
                Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))
                for words in (said, right)
            )
            matches += (counts & allowed).total()
            runs += counts.total()
        log_p += math.log(matches / runs) / 4
    c, r = (sum(map(len, sentences)) for sentences in (translations, references))
    return 100 * min(1.0, math.exp(1 - c / r)) * math.exp(log_p)


# %% wrong="bleu"
def my_bleu(translations, references):
    total = 0.0
    for said, right in zip(translations, references):
        log_p = 0.0
        for n in range(1, 5):
            counts, allowed = (
                Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))
                for words in (said, right)
            )
            log_p += math.log((counts & allowed).total() / counts.total()) / 4
        total += 100 * min(1.0, math.exp(1 - len(right) / len(said))) * math.exp(log_p)
    return total / len(translations)


# %% [markdown]
# ## References
#
# - A. Vaswani et al. (2017), *Attention is all you need*, arXiv:1706.03762, eq. 1 (here (1)), sections 3.1 and 3.2.3: the three attentions.
# - D. Bahdanau, K. Cho, Y. Bengio (2014), *Neural machine translation by jointly learning to align and translate*, arXiv:1409.0473, section 3.1: attention to the source, and pictures like ours.
# - K. Papineni et al. (2002), *BLEU: a method for automatic evaluation of machine translation*, section 2.3: here (3).
# - S. Bengio et al. (2015), *Scheduled sampling*, arXiv:1506.03099, section 1: training and writing read different words.
# - In the library: [minillm/nn/transformer.py](../minillm/nn/transformer.py), [minillm/models/seq2seq.py](../minillm/models/seq2seq.py);
#   `python -m minillm task translation` trains both directions on the whole toy world.
