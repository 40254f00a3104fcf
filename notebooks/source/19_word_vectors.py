# %% [markdown]
# # 19 · Word vectors
#
# **You need:** [chapter 5](05_softmax_cross_entropy.ipynb) (softmax, cross-entropy), [chapter 6](06_embedding.ipynb) (the embedding and its gradient).
#
# **Time:** 25 minutes of reading, 35 for the exercises.
#
# **You will be able to** derive skip-gram with negative sampling and GloVe with their gradients, train both, and measure whether similar words got similar vectors.

# %% [markdown]
# ## Why it matters
#
# In [chapter 6](06_embedding.ipynb) words that are used alike got rows that are alike, as a
# by-product. Here it is the aim: a **word vector（词向量）** for each word, learned from nothing but which
# words stand near each other. The idea is older than neural networks: *you shall know a word by the
# company it keeps* (Firth 1957). Such vectors were the first part of a network that one trained once
# and used everywhere, and the trick that made them cheap, negative sampling, is used to this day.

# %% tags=["setup"]
import matplotlib.pyplot as plt
import numpy as np

from minillm.data import ToyWorld
from minillm.gradcheck import check_gradients
from minillm.models import GloVe, GloVeConfig, Word2VecConfig, WordVectors
from minillm.models.glove import cooccurrences
from minillm.models.word_vectors import read_corpus
from minillm.tasks.word_vectors import analogies, neighbours
from minillm.viz import book_style

book_style()
rng = np.random.default_rng(0)
world = ToyWorld()
stories = [story.tokens["english"] for story in world.splits(2000, 1, seed=0).train]
categories = world.word_categories("english")  # what the grammar knows; the vectors never see it

# %% [markdown]
# ## The company of a word
#
# Choose a **context window（上下文窗口）**: the words up to 2 places to the left and to the right. Count in
# $X_{ij}$ how often word $j$ stands in the window of word $i$, where a neighbour at distance $d$
# counts $1/d$. This is the table of **co-occurrence（共现）**. Here are the most frequent companions of
# three words:

# %%
corpus = read_corpus("this chapter", stories)
first, second, counts = cooccurrences(corpus, 2)
V = len(corpus.words)
X = np.zeros((V, V))
X[first, second] = counts
print(f"{len(corpus.ids):,} words, {V} different ones, {np.mean(X > 0):.1%} of the table is not 0")
for word in ("red", "blue", "rabbit"):
    row = X[corpus.words.index(word)]
    best = np.argsort(-row)[:7]
    print(f"{word:>7}:", "   ".join(f"{corpus.words[j]} {row[j]:.0f}" for j in best))

# %% tags=["check"]
assert np.array_equal(X, X.T)

# %% [markdown]
# Two colours have nearly the same companions, a colour and an animal do not. Whether two rows are
# alike is measured by the **cosine similarity（余弦相似度）**, the dot product of two vectors divided by
# their lengths: 1 if they point the same way, 0 if they have nothing in common. But rows of $V$ numbers are
# long, and most of them are zero. We want short ones.
#
# ## Skip-gram: predict the company
#
# The **skip-gram（跳元模型）** gives every word $i$ two vectors of $C$ numbers: $v_i$ for when it stands in
# the middle, and $u_i$ for when it is one of the company. It predicts a neighbour $o$ of the middle
# word $c$ by a softmax over their products:
#
# <a id="formula-skip-gram"></a>
# $$p(o \mid c) = \frac{e^{u_o \cdot v_c}}{\sum_{w=1}^{V} e^{u_w \cdot v_c}} \tag{1}$$
#
# That is a language model with a curious task, and chapter 5 has its gradient. It is expensive,
# though: each pair of words needs the products with *all* $V$ vectors $u_w$, and changes all of them.
# With a vocabulary of a million words that is hopeless.
#
# ## Negative sampling: a cheaper question
#
# Instead of "which of $V$ words was it?" ask $K + 1$ questions with the answer yes or no: was this
# pair seen, or did we make it up? From here on $v$ belongs to the middle word, $u_0$ to the word that was
# really seen beside it, and $u_1 \dots u_K$ to $K$ words drawn at random, the *noise*. With the sigmoid $\sigma(x) = 1 / (1 + e^{-x})$ as the
# probability of yes, the loss of this **negative sampling（负采样）** is
#
# <a id="formula-sgns"></a>
# $$L = -\log \sigma(u_0 \cdot v) - \sum_{k=1}^{K} \log \sigma(-u_k \cdot v) \tag{2}$$
#
# | symbol | shape | what it is |
# |---|---|---|
# | $v$ | $(N, C)$ | vectors of the words in the middle, for $N$ pairs |
# | $u$ | $(N, 1 + K, C)$ | the word that was seen, then $K$ words of noise |
# | $s_k = u_k \cdot v$ | $(N, 1 + K)$ | scores |
# | $L$ | $(N,)$ | loss of each pair, in nats |
#
# The cost no longer depends on $V$. Now the gradient. Since
# $\sigma'(x) = \sigma(x)\,(1 - \sigma(x))$, we have $\frac{d}{dx} \log \sigma(x) = 1 - \sigma(x)$,
# and so
#
# $$\frac{\partial L}{\partial s_0} = -(1 - \sigma(s_0)) = \sigma(s_0) - 1 \qquad
#   \frac{\partial L}{\partial s_k} = 1 - \sigma(-s_k) = \sigma(s_k) \quad (k \ge 1)$$
#
# Both are prediction minus truth, where the truth is 1 for the pair that was seen and 0 for noise.
# One formula for both:
#
# <a id="formula-sgns-backward-scores"></a>
# $$\delta_k = \frac{\partial L}{\partial s_k} = \sigma(s_k) - [k = 0] \tag{3}$$
#
# The score is a product, so each factor gets the other one. The vector $v$ is used in all $K + 1$
# scores and adds up:
#
# <a id="formula-sgns-backward"></a>
# $$\frac{\partial L}{\partial v} = \sum_{k=0}^{K} \delta_k\, u_k \qquad
#   \frac{\partial L}{\partial u_k} = \delta_k\, v \tag{4}$$
#
# A step against (4) pulls $v$ and $u_0$ together and pushes $v$ and the noise apart. Words with the
# same company are pulled towards the same $u$'s, so they end up near each other, though they may
# never have met.
#
# ## The library's own code
#
# `signed` is $-s_0, s_1, \dots, s_K$, for then all terms of (2) have the same form,
# $\log(1 + e^{x})$, written so that nothing overflows. The library's (4) and (5) are the two halves of
# our (4).

# %% library="minillm.models.word2vec:sgns_forward,sgns_backward"

# %%
v, u = rng.standard_normal((5, 3)), rng.standard_normal((5, 7, 3))
print(check_gradients(sgns_forward, sgns_backward, v, u))
print(f"loss at the start, all vectors 0: {sgns_forward(0 * v, 0 * u)[0][0]:.3f} nats "
      f"= 7 log 2 = {7 * np.log(2):.3f}")  # fmt: skip

# %% tags=["check"]
assert check_gradients(sgns_forward, sgns_backward, v, u).passed
assert np.allclose(sgns_forward(0 * v, 0 * u)[0], 7 * np.log(2))

# %% [markdown]
# ## A classic mistake
#
# The trick with `signed` has a price: backward has to undo it. Leave out the line
# `grad_s[:, 0] *= -1`, and the word that was really seen is pushed away like the noise. The program
# runs all the same, and drives apart what belongs together.


# %%
def sgns_backward_wrong(grad_out, saved):
    v, u, signed = saved
    grad_s = grad_out[:, None] / (1 + np.exp(-signed))
    return (grad_s[:, None, :] @ u)[:, 0, :], grad_s[:, :, None] * v[:, None, :]


report = check_gradients(sgns_forward, sgns_backward_wrong, v, u)
print(report)

# %% tags=["check"]
[about_u] = [finding for finding in report.findings if finding.input == "u"]
assert "index 0 on axis 1" in about_u.message

# %% [markdown]
# The report names the place: along axis 1 of `u`, where the word that was seen comes before the
# noise, only index 0 is wrong, and by its sign.
#
# ## The whole model
#
# What is left is bookkeeping: draw the pairs, draw the noise, take the step. The class is shown in
# full; four things in it deserve a look.
#
# - Noise is drawn in proportion to the count of a word to the power $3/4$, which is between "as frequent as it is" and "all alike".
# - `subsampled` drops many occurrences of very frequent words. A comma tells little about its neighbours.
# - `step` changes only the rows of the words in the batch, by `scatter_add`, for the reason in chapter 6. The rest of the gradient is zero; one calls it a **sparse gradient（稀疏梯度）**.
# - `cbow=True` turns the task round: the mean of the words around predicts the middle one. This is the **continuous bag of words (CBOW)（连续词袋）**.

# %% library="minillm.models.word2vec:Word2Vec"

# %%
config = Word2VecConfig(dim=24, window=2, epochs=3)
skip_gram = Word2Vec(config).fit(stories, progress=False)
print(f"loss before: about {(1 + config.negatives) * np.log(2):.2f}; mean of each epoch: "
      f"{', '.join(f'{loss:.2f}' for loss in skip_gram.losses)}")  # fmt: skip
for word in ("red", "rabbit", "library", "Leo", "grateful"):
    near = skip_gram.most_similar(word, n=4)
    print(f"{word:>9}:", ", ".join(f"{other} {cosine:.2f}" for other, cosine in near))

# %% tags=["check"]
assert skip_gram.losses[-1] < skip_gram.losses[0] < 6 * np.log(2)
assert categories[skip_gram.most_similar("rabbit", n=1)[0][0]] == categories["rabbit"]

# %% [markdown]
# ## A picture
#
# 24 directions cannot be drawn. Take the plane in which the words differ most: subtract the mean, and
# project on the two directions in which the points spread most, found by a singular value decomposition. Each colour is a category
# of the grammar, which the vectors have never seen.

# %% alt="Points in a plane, one for each word, in five colours for five categories of the grammar. Words of one category form a cluster of their own, far from the others: names, places, animals, looks of things, and feelings."
kinds = {
    "hero": "names",
    "place": "places",
    "thief": "animals",
    "look": "looks",
    "feeling": "feelings",
}
shown = [w for w in categories if categories[w] in kinds and w in skip_gram]
points = np.stack([skip_gram[w] / np.linalg.norm(skip_gram[w]) for w in shown])
points -= points.mean(axis=0)
_, sizes, directions = np.linalg.svd(points, full_matrices=False)
points = points @ directions[:2].T
fig, axes = plt.subplots(figsize=(7.2, 4.2))
for (kind, label), marker in zip(kinds.items(), "os^Dv", strict=True):
    rows = [n for n, w in enumerate(shown) if categories[w] == kind]
    axes.scatter(*points[rows].T, s=22, marker=marker, label=label)
    rows.sort(key=lambda n: points[n, 1])
    for n, shift in ((rows[0], (4, -9)), (rows[-1], (4, 4))):
        axes.annotate(shown[n], points[n], fontsize=8, xytext=shift, textcoords="offset points")
axes.set(title="Skip-gram vectors in a plane", xlabel="first direction (1)")
axes.set(ylabel="second direction (1)")
axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
plt.show()
print(f"these two directions hold {(sizes[:2] ** 2).sum() / (sizes**2).sum():.0%} of the variance")

# %% [markdown]
# ## GloVe: fit the counts
#
# Skip-gram walks through the text. **GloVe（全局向量）** (Pennington et al. 2014) looks at the finished
# table $X$. Its aim: the product of two vectors, plus a bias for each word, should be the logarithm
# of the count, $w_i \cdot \tilde w_j + b_i + \tilde b_j \approx \log X_{ij}$. Why the logarithm? Then
# differences of vectors stand for *ratios* of counts,
# $(w_i - w_k) \cdot \tilde w_j \approx \log (X_{ij} / X_{kj})$ but for the biases of $i$ and $k$, and it is
# ratios that tell what a word means. In the end $w_i + \tilde w_i$ is the vector of word $i$. With weights $f$, a sum over all pairs that occur:
#
# <a id="formula-glove"></a>
# $$J = \sum_{i,j:\, X_{ij} > 0} f(X_{ij})\, e_{ij}^2 \qquad
#   e_{ij} = w_i \cdot \tilde w_j + b_i + \tilde b_j - \log X_{ij} \tag{5}$$
#
# <a id="formula-glove-weights"></a>
# $$f(x) = \min\left(1, \frac{x}{x_{\max}}\right)^{3/4} \tag{6}$$
#
# The weight keeps a pair that was seen once, by chance, from counting as much as a pair that was seen
# a hundred times, and the most frequent pairs from drowning all others. The gradient is that of a
# square, then of a product:
#
# <a id="formula-glove-backward"></a>
# $$\frac{\partial J}{\partial w_i} = \sum_j 2 f(X_{ij})\, e_{ij}\, \tilde w_j \qquad
#   \frac{\partial J}{\partial b_i} = \sum_j 2 f(X_{ij})\, e_{ij} \tag{7}$$
#
# and alike for $\tilde w_j$ and $\tilde b_j$. In the code one row is one pair; `scatter_add` takes
# the sums. The library's (3) to (5) are our (7).

# %% library="minillm.models.glove:glove_forward,glove_backward"

# %%
pairs = [rng.standard_normal((5, 3)), rng.standard_normal((5, 3)), *rng.standard_normal((2, 5))]
options = {"log_counts": rng.standard_normal(5), "weights": rng.random(5)}
print(check_gradients(glove_forward, glove_backward, *pairs, **options))

# %% tags=["check"]
assert check_gradients(glove_forward, glove_backward, *pairs, **options).passed

# %% [markdown]
# ## Which is better? Ask the grammar
#
# Two questions with known answers. *Nearest*: is the nearest neighbour of a word of the same category
# (a colour beside a colour)? *Analogies*: "Mia is to *she* as Leo is to ?". An **analogy（类比）**
# $a : b = c : \;?$ is answered by the word whose vector is nearest to $\hat b - \hat a + \hat c$, all
# of them of length 1, the three words themselves left out.
#
# The table has three more rows: the logarithms of the counts themselves, with $V$ numbers for each
# word; the 24 largest directions of their singular value decomposition; and random vectors.

# %%
glove = GloVe(GloVeConfig(dim=24, window=2, x_max=20, epochs=15)).fit(stories, progress=False)
left, values, _ = np.linalg.svd(np.log1p(X))
rivals = {
    "skip-gram": skip_gram,
    "GloVe": glove,
    "log(1 + counts)": WordVectors(corpus.words, np.log1p(X)),
    "SVD of the logs": WordVectors(corpus.words, left[:, :24] * values[:24]),
    "random": WordVectors(corpus.words, rng.standard_normal((V, 24))),
}
scores = {}
print("                 numbers/word  nearest  analogies")
for name, vectors in rivals.items():
    near = neighbours(vectors, categories)["nearest"]
    scores[name] = near, analogies(vectors, world.pronouns("english"))
    print(f"{name:>15} {vectors.vectors.shape[1]:13} {near:8.1%} {scores[name][1]:10.1%}")

# %% tags=["check"]
assert scores["skip-gram"][0] > 0.9
assert scores["skip-gram"][1] > 0.9
assert scores["random"][0] < 0.3
assert scores["GloVe"][0] > 0.8
assert scores["log(1 + counts)"][0] > 0.95
assert scores["SVD of the logs"][0] > scores["skip-gram"][0]

# %% [markdown]
# Counting wins! In a small world whose words have one meaning each, the table holds everything, and
# linear algebra finds it. Skip-gram comes close without ever building the table. That is its point:
# for a million words the table would have a million times a million entries. On real text, which
# method is in front depends more on the settings than on the method (Levy et al. 2015). What carries
# over is the way of asking: **a measure with known answers, and random vectors beside it.**
#
# ### Leave the question out of the answers
#
# Papers print "king - man + woman = queen". Without the rule that the three given words do not count,
# the answer is often one of the three:

# %%
unit = skip_gram.vectors / np.linalg.norm(skip_gram.vectors, axis=1, keepdims=True)
pronouns = world.pronouns("english")
own = asked = 0
for a in pronouns:
    for c in pronouns:
        if pronouns[a] != pronouns[c]:
            wanted = unit[skip_gram.id_of(pronouns[a])] - unit[skip_gram.id_of(a)]
            wanted = wanted + unit[skip_gram.id_of(c)]
            own += skip_gram.words[int(np.argmax(unit @ wanted))] in (a, pronouns[a], c)
            asked += 1
print(f"{own} of {asked} answers are one of the three words of the question")

# %% tags=["check"]
assert asked == 288
assert own > asked / 4

# %% [markdown]
# ## An experiment
#
# Change one setting at a time: `window=5`, `dim=4`, `epochs=1`, `subsample=None`, `cbow=True`. What
# happens to *nearest*? What happens to the neighbours of "red" if the window is 1? A narrow window
# finds words of the same kind, a wide one words of the same topic; does the toy world have topics?

# %%
tried = Word2VecConfig(dim=24, window=1, epochs=2)
changed = Word2Vec(tried).fit(stories, progress=False)
print(f"nearest {neighbours(changed, categories)['nearest']:.1%}")
print("red:", ", ".join(word for word, _ in changed.most_similar("red", n=6)))

# %% [markdown]
# ## Exercises
#
# Write your answer in the first cell of each, then run the second: it checks your code. The hints
# open one at a time. All answers: [solutions/19_word_vectors.ipynb](solutions/19_word_vectors.ipynb).

# %% [markdown] exercise="full-softmax" minutes=15 teaches="what negative sampling replaces: every output vector gets a gradient" catches="only the seen word's vector changes, a forgotten sum for v"
# ### Exercise 19.1: skip-gram with the full softmax
#
# Write the loss $-\log p(o \mid c)$ of (1) for one pair, and its gradient for $v$ `(C,)` and for
# *all* output vectors $U$ `(V, C)`.
#
# <details><summary>Hint 1</summary>
#
# The scores are `U @ v`, $V$ logits. Chapter 5, (4): the gradient of the logits is prediction minus
# one-hot.
#
# </details>
# <details><summary>Hint 2</summary>
#
# With $d = p - \text{onehot}(o)$: the gradient of $v$ is $U^\top d$, that of $U$ is the outer product
# of $d$ and $v$.
#
# </details>


# %% exercise="full-softmax"
def skip_gram_forward(v, U, *, seen):
    """The loss of one pair, -log p(seen | v).

    Shapes   v (C,), U (V, C), seen: the id of the neighbour -> (), and whatever backward needs
    """
    # BEGIN SOLUTION
    scores = U @ v
    p = np.exp(scores - scores.max())
    p /= p.sum()
    return -np.log(p[seen]), (v, U, p, seen)
    # END SOLUTION


def skip_gram_backward(grad_out, saved):
    """The gradients of v and of U."""
    # BEGIN SOLUTION
    v, U, p, seen = saved
    d = grad_out * (p - np.eye(len(p))[seen])
    return d @ U, np.outer(d, v)
    # END SOLUTION


# %% self_check="full-softmax"
v, U = rng.standard_normal(3), rng.standard_normal((7, 3))
loss = skip_gram_forward(v, U, seen=4)[0]
expected = np.log(sum(np.exp(row @ v) for row in U)) - U[4] @ v
assert np.allclose(loss, expected), f"the loss should be {expected:.4f}, it is {loss}"
report = check_gradients(skip_gram_forward, skip_gram_backward, v, U, seen=4)
print(report)
assert report.passed, "the gradient is wrong: read the report"


# %% wrong="full-softmax"
def skip_gram_forward(v, U, *, seen):
    scores = U @ v
    p = np.exp(scores - scores.max())
    p /= p.sum()
    return -np.log(p[seen]), (v, U, p, seen)


def skip_gram_backward(grad_out, saved):
    v, U, p, seen = saved
    grad_U = np.zeros_like(U)
    grad_U[seen] = grad_out * (p[seen] - 1) * v
    return grad_out * (p[seen] - 1) * U[seen], grad_U


# %% wrong="full-softmax"
def skip_gram_forward(v, U, *, seen):
    scores = U @ v
    p = np.exp(scores - scores.max())
    p /= p.sum()
    return -np.log(p[seen]), (v, U, p, seen)


def skip_gram_backward(grad_out, saved):
    v, U, p, seen = saved
    return grad_out * (p @ U), grad_out * np.outer(p - np.eye(len(p))[seen], v)


# %% [markdown] exercise="noise" minutes=8 teaches="the noise distribution" catches="the power after normalising without a new sum, uniform noise"
# ### Exercise 19.2: the noise
#
# Write the probabilities with which words of noise are drawn: proportional to count$^{3/4}$, with the
# power as an argument.
#
# <details><summary>Hint 1</summary>
#
# "Proportional to" leaves one number open, and it is fixed by the condition that probabilities sum to
# 1.
#
# </details>
# <details><summary>Hint 2</summary>
#
# First the power, then the division by the sum of the powers.
#
# </details>


# %% exercise="noise"
def noise_probabilities(counts, power):
    """How likely each word is drawn as noise.

    Shapes   counts (V,) -> (V,), sums to 1
    """
    # BEGIN SOLUTION
    weights = counts**power
    return weights / weights.sum()
    # END SOLUTION


# %% self_check="noise"
q = noise_probabilities(np.array([16.0, 1.0, 81.0]), 0.75)
assert q is not None and np.isclose(q.sum(), 1), "the probabilities must sum to 1"
assert np.allclose(q, np.array([8, 1, 27]) / 36), f"16, 1, 81 become 8, 1, 27 of 36, not {q}"
q = noise_probabilities(np.array([3.0, 1.0]), 0.0)
assert np.allclose(q, 0.5), f"with the power 0 all words are equally likely, not {q}"
print("right")


# %% wrong="noise"
def noise_probabilities(counts, power):
    return (counts / counts.sum()) ** power


# %% wrong="noise"
def noise_probabilities(counts, power):
    return counts / counts.sum()


# %% [markdown] exercise="analogy" minutes=12 teaches="cosine, and leaving the question out" catches="products instead of cosines, answering with a word of the question, a - b"
# ### Exercise 19.3: analogies
#
# Write the rule above: the row whose direction is nearest to $\hat b - \hat a + \hat c$, where each
# hat means divided by its length. Rows $a$, $b$, $c$ themselves do not count.
#
# <details><summary>Hint 1</summary>
#
# Divide all rows by their lengths first: `vectors / np.linalg.norm(vectors, axis=1, keepdims=True)`.
#
# </details>
# <details><summary>Hint 2</summary>
#
# Set the cosines of the three rows to `-np.inf` before you take the `argmax`.
#
# </details>


# %% exercise="analogy"
def answer(vectors, a, b, c):
    """The row that is to c as b is to a.

    Shapes   vectors (V, C); a, b, c: numbers of rows -> a number of a row
    """
    # BEGIN SOLUTION
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = unit @ (unit[b] - unit[a] + unit[c])
    cosines[[a, b, c]] = -np.inf
    return int(np.argmax(cosines))
    # END SOLUTION


# %% self_check="analogy"
table = np.array([[1.0, 0.1], [0.9, 0.5], [8.0, 3.2], [0.5, 0.9], [20.0, 1.0], [-1.0, 2.0]])
found = answer(table, 0, 1, 2)
assert found is not None and found not in (0, 1, 2), f"{found} is a word of the question"
assert found == 3, f"the direction asks for row 3, not {found}: did you divide by the lengths?"
assert answer(table, 3, 1, 0) == 4, "a : b = c : ? is b - a + c, with its signs in this order"
print("right")


# %% wrong="analogy"
def answer(vectors, a, b, c):
    scores = vectors @ (vectors[b] - vectors[a] + vectors[c])
    scores[[a, b, c]] = -np.inf
    return int(np.argmax(scores))


# %% wrong="analogy"
def answer(vectors, a, b, c):
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return int(np.argmax(unit @ (unit[b] - unit[a] + unit[c])))


# %% wrong="analogy"
def answer(vectors, a, b, c):
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = unit @ (unit[a] - unit[b] + unit[c])
    cosines[[a, b, c]] = -np.inf
    return int(np.argmax(cosines))


# %% [markdown]
# ## References
#
# - T. Mikolov et al. (2013), *Distributed representations of words and phrases and their compositionality*, arXiv:1310.4546: eq. 2 is (1), eq. 4 is (2) with the other sign, eq. 5 is the subsampling.
# - J. Pennington, R. Socher, C. D. Manning (2014), *GloVe: Global vectors for word representation*, EMNLP: eq. 8 and 9 are (5) and (6).
# - T. Mikolov, W. Yih, G. Zweig (2013), *Linguistic regularities in continuous space word representations*, NAACL, section 4: analogies.
# - O. Levy, Y. Goldberg, I. Dagan (2015), *Improving distributional similarity with lessons learned from word embeddings*, TACL 3: why the settings matter more than the method.
# - In the library: [minillm/models/word2vec.py](../minillm/models/word2vec.py), [minillm/models/glove.py](../minillm/models/glove.py), [minillm/models/word_vectors.py](../minillm/models/word_vectors.py); `python -m minillm task word-vectors`.
