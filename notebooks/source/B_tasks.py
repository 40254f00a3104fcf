# %% [markdown]
# # B · All tasks at a glance
#
# **You need:** [chapter 4](04_language_models.ipynb) (perplexity), [chapter 5](05_softmax_cross_entropy.ipynb) (logits).
#
# **Time:** 20 minutes of reading, 45 for the exercises.
#
# **You will be able to** choose a measure for a task and work it out by hand, say what chance would reach, and find the chapter
# that explains the model.

# %% [markdown]
# ## Why it matters
#
# A loss says how surprised a model is. Nobody who uses a model asks that. They ask: how many answers are right? How much of the
# spam is found? Is the translation good? Each task has a **metric（评价指标）** of its own, and each metric can be read wrongly. A
# number is worth little without the number that *no* model would reach, the **chance level（随机水平）**.
#
# | task | from | to | metric | chapter |
# |---|---|---|---|---|
# | `language-modelling`, `generation` | a text | the next word | perplexity | [4](04_language_models.ipynb), [14](14_gpt.ipynb), [15](15_decoding.ipynb) |
# | `masked-words`, `next-sentence` | a text with gaps; two sentences | the words; yes or no | accuracy | [17](17_bert.ipynb) |
# | `sentiment`, `classification` | a text | a class | accuracy, F1 | [9](09_recurrent.ipynb), [21](21_fine_tuning.ipynb) |
# | `semantic-roles` | a sentence | a role for each word | F1 of spans | [21](21_fine_tuning.ipynb) |
# | `question-answering` | a text and a question | a part of the text | exact match, F1 of words | [17](17_bert.ipynb) |
# | `translation` | a sentence | the same in another language | BLEU | [18](18_translation.ipynb) |
# | `summarisation` | a story | one sentence | ROUGE | [18](18_translation.ipynb) |
# | `dialogue` | what was said so far | the next turn | exact match | [14](14_gpt.ipynb) |
# | `word-vectors` | words in their contexts | a vector for each | analogies | [19](19_word_vectors.ipynb) |
#
# `python -m minillm task` lists them all, `python -m minillm task sentiment` runs one. What each reached in a full run stands in
# [docs/tasks.md](../docs/tasks.md); this page makes small runs of its own.

# %% tags=["setup"]
import math
from collections import Counter

import matplotlib.pyplot as plt
import numpy as np

import minillm
from minillm import ops
from minillm.gradcheck import check_gradients
from minillm.tasks import format_table, run_task
from minillm.training import (
    accuracy,
    bleu,
    classification_report,
    f1,
    perplexity,
    precision,
    recall,
    rouge,
    span_scores,
    token_f1,
)
from minillm.viz import book_style

minillm.manual_seed(0)
book_style()

# %% [markdown]
# ## Accuracy, and what chance reaches
#
# **Accuracy（准确率）** is the share of right answers. Ten letters, two of them spam (1). A program finds one of the two and accuses
# one honest letter. Another "program" always says 0:

# %%
truth = np.array([1, 0, 0, 0, 1, 0, 0, 0, 0, 0])
program = np.array([1, 0, 0, 1, 0, 0, 0, 0, 0, 0])
print("program:   ", accuracy(program, truth))
print("always no: ", accuracy(np.zeros(10, int), truth))

# %% tags=["check"]
assert accuracy(program, truth) == accuracy(np.zeros(10, int), truth) == 0.8

# %% [markdown]
# Both have 0.8. The most frequent class, the **majority class（多数类）**, is a rival that every accuracy must be compared with.
#
# ## Precision, recall, F1
#
# Count only what concerns the spam: $tp$, found and spam (true positives); $fp$, accused wrongly; $fn$, missed.
#
# <a id="formula-f1"></a>
# $$\text{precision} = \frac{tp}{tp + fp}, \qquad \text{recall} = \frac{tp}{tp + fn}, \qquad
#   F_1 = \frac{2\, tp}{2\, tp + fp + fn} \tag{1}$$
#
# **Precision（精确率）**: of what was accused, how much was spam? **Recall（召回率）**: of the spam, how much was found? The
# **F1 score（F1 值）** is their harmonic mean, $2 / (1/P + 1/R)$: put in $1/P + 1/R = (2\,tp + fp + fn) / tp$, and you have (1). It is near the
# smaller of the two, so neither can be bought with the other. Here $tp = 1$, $fp = 1$, $fn = 1$: all three are $\frac12$.

# %% library="minillm.training.metrics.classification:_counts,_fraction"

# %%
print(f"precision {precision(program, truth)}, recall {recall(program, truth)}, F1 {f1(program, truth)}")
everything = np.ones(10, int)
print(f"accuse all: precision {precision(everything, truth)}, recall {recall(everything, truth)}, "
      f"F1 {f1(everything, truth):.3f}\n")  # fmt: skip
print(classification_report(program, truth, names=["honest", "spam"]))

# %% tags=["check"]
assert precision(program, truth) == recall(program, truth) == f1(program, truth) == 0.5
tp, said, real = _counts(program, truth, [1])
assert (tp[0], said[0], real[0]) == (1, 2, 2)

# %% [markdown]
# With many classes the **macro average（宏平均）** gives each class the same weight, however rare. The accuracy is the *micro*
# average: each item counts the same.
#
# ## Why not train on the metric itself?
#
# Because it has no slope. Accuracy changes only when an answer flips; in between a small change of a logit does nothing. The
# checker's numerical slopes of the accuracy are all 0:

# %%
def accuracy_forward(logits, *, targets):
    return (logits.argmax(axis=-1) == targets).mean(), (logits, targets)


def hopeful_backward(grad_out, saved):
    """The gradient of the cross-entropy, with the sign turned: up where the loss goes down."""
    logits, targets = saved
    _, inner = ops.cross_entropy_forward(logits, targets)
    return (-ops.cross_entropy_backward(grad_out, inner)[0],)


draw = np.random.default_rng(0)
logits, targets = draw.standard_normal((5, 3)), np.array([0, 2, 1, 1, 0])
report = check_gradients(accuracy_forward, hopeful_backward, logits, targets=targets)
print(report)

# %% tags=["check"]
assert not report.passed
assert report.findings[0].numeric == 0

# %% [markdown]
# So models are trained on the cross-entropy, which is smooth and rewards the same thing. One can also smooth the metric. Put
# probabilities $p_n$ in place of answers, with labels $y_n \in \{0, 1\}$: $tp$ becomes $\sum_n p_n y_n$, and $2\,tp + fp + fn$ becomes
# $\sum_n p_n + \sum_n y_n$:
#
# $$F = \frac{2 \sum_n p_n y_n}{\sum_n p_n + \sum_n y_n}, \qquad
#   \frac{\partial F}{\partial p_n} = \frac{2 y_n - F}{\sum_k p_k + \sum_k y_k} \tag{2}$$
#
# (quotient rule: the numerator gives $2 y_n$, the denominator $-F$). The classic mistake is to forget that $p_n$ stands below the
# line, too:

# %%
def soft_f1_forward(p, *, y):
    below = p.sum() + y.sum()
    out = 2 * (p * y).sum() / below
    return out, (y, out, below)


def soft_f1_backward(grad_out, saved):
    y, out, below = saved
    return (grad_out * (2 * y - out) / below,)


def soft_f1_backward_wrong(grad_out, saved):
    y, out, below = saved
    return (grad_out * 2 * y / below,)


p, y = draw.random(7), np.array([1.0, 0, 1, 1, 0, 0, 1])
print(check_gradients(soft_f1_forward, soft_f1_backward, p, y=y), "\n")
wrong = check_gradients(soft_f1_forward, soft_f1_backward_wrong, p, y=y)
print(wrong)

# %% tags=["check"]
assert check_gradients(soft_f1_forward, soft_f1_backward, p, y=y).passed
assert not wrong.passed
assert np.isclose(soft_f1_forward(program.astype(float), y=truth)[0], f1(program, truth))

# %% [markdown]
# With the wrong gradient the honest letters ($y_n = 0$) are never pushed down. It passes unseen where all labels are 1: a test needs both
# kinds.
#
# ## Parts of a text
#
# Semantic roles and names are **spans（区间）**, runs of words. A span counts only if its kind, its first and its last word are all
# right. `B-` begins one, `I-` goes on:

# %%
right = ["B-agent", "O", "B-action", "I-action", "B-patient", "I-patient"]
said = ["B-agent", "O", "B-action", "I-action", "B-patient", "O"]
scores = span_scores([said], [right])
print("words right: 5 of 6;  spans:", {name: round(value, 3) for name, value in scores.items()})

# %% tags=["check"]
assert sum(a == b for a, b in zip(said, right, strict=True)) == 5
assert np.isclose(scores["f1"], 2 / 3)

# %% [markdown]
# Five of six words are right, but two of three spans. Answers to questions are compared by **exact match（完全匹配）** after removing
# articles and punctuation, and by the F1 of the words that they share, each as often as both have it ($\cap$ of two bags):
#
# <a id="formula-token-f1"></a>
# $$F_1 = \frac{2\, \lvert \text{said} \cap \text{right} \rvert}{\lvert \text{said} \rvert + \lvert \text{right} \rvert} \tag{3}$$

# %% library="minillm.training.metrics.texts:_overlap"

# %%
print("'in the big red barn' for 'the red barn':", round(token_f1(["in the big red barn"], ["the red barn"]), 3))

# %% tags=["check"]
assert np.isclose(_overlap("in big red barn".split(), "red barn".split()), 4 / 6)
assert np.isclose(token_f1(["in the big red barn"], ["the red barn"]), 4 / 6)

# %% [markdown]
# Without the article 4 words meet 2, and both are shared: $2 \cdot 2 / (4 + 2)$.
#
# ## Perplexity
#
# The **perplexity（困惑度）** is the exponential of the mean loss in nats ([chapter 4](04_language_models.ipynb)): among how many equally
# likely words would guessing be as hard? A model that gives the four words of a text the probabilities $\frac12, \frac14, \frac18, \frac18$:

# %%
surprisals = -np.log([1 / 2, 1 / 4, 1 / 8, 1 / 8])
print(f"mean loss {surprisals.mean():.3f} nats, perplexity {perplexity(surprisals.mean()):.3f}")
print(f"by hand: (2 · 4 · 8 · 8) to the power of 1/4 = {(2 * 4 * 8 * 8) ** 0.25:.3f}")

# %% tags=["check"]
assert np.isclose(perplexity(surprisals.mean()), 512**0.25)

# %% [markdown]
# Perplexities compare only models with the *same* vocabulary: more pieces per word make each piece easier.
#
# ## BLEU: how much of a translation is shared?
#
# **BLEU（双语评估替补）** counts runs of 1, 2, 3 and 4 words, **n-grams（n 元语法）**, that a translation shares with a right one. $p_n$ is the
# share of its n-grams that are found there, each counted at most as often as the right one has it. Saying one sure word would be safest, so
# a translation of length $c$ that is shorter than the right one's $r$ is punished by the **brevity penalty（简短惩罚）**:
#
# <a id="formula-bleu-corpus"></a>
# $$\text{BLEU} = 100 \cdot \min\left(1, e^{1 - r / c}\right) \cdot \left( p_1\, p_2\, p_3\, p_4 \right)^{1/4} \tag{4}$$

# %%
right, said = "the cat is on the mat .".split(), "the cat sat on the mat .".split()
shares = []
for n in (1, 2, 3, 4):
    grams = [Counter(zip(*(text[i:] for i in range(n)), strict=False)) for text in (said, right)]
    shared, total = (grams[0] & grams[1]).total(), grams[0].total()
    shares.append(shared / total)
    print(f"{n} words: {shared} of {total}")
by_hand = 100 * min(1, math.exp(1 - len(right) / len(said))) * math.prod(shares) ** 0.25
print(f"BLEU by hand {by_hand:.2f}, by the library {bleu([' '.join(said)], [' '.join(right)]):.2f}")

# %% tags=["check"]
assert np.isclose(by_hand, bleu([" ".join(said)], [" ".join(right)]))

# %% [markdown]
# For many sentences the counts of all are added first. One wrong word of seven costs half of the score, because it breaks every run
# that it stands in. And a good translation in other words gets a low score: BLEU compares systems, it does not grade a sentence.
#
# ## ROUGE: how much of a summary?
#
# **ROUGE（面向召回的摘要评估）** L looks for the longest common subsequence (LCS): the same words in the same order, gaps allowed.
#
# <a id="formula-rouge"></a>
# $$F_L = \frac{2\, \operatorname{LCS}(\text{said}, \text{right})}{\lvert \text{said} \rvert + \lvert \text{right} \rvert} \tag{5}$$

# %%
right, said = "Leo found a red robot and felt happy", "Leo lost a robot and felt very sad"
print({name: round(value, 3) for name, value in rouge([said], [right]).items()})

# %% tags=["check"]
assert np.isclose(rouge([said], [right])["rougeL"], 2 * 5 / 16)

# %% [markdown]
# The LCS is *Leo a robot and felt*, five words of eight and eight. The summary is wrong in everything that matters, and has 0.625: a
# measure of overlap does not know what a sentence says.
#
# ## Four small runs
#
# Each run below trains a small model on the toy world for seconds, and prints it beside its rivals. Look at the rivals first.

# %%
small = {"progress": False, "seed": 0}
sentiment = run_task("sentiment", steps=60, width=32, train=800, test=200, **small)
print(format_table(["accuracy", "f1"], sentiment.rows))

# %%
questions = run_task("question-answering", steps=120, width=32, train=1000, test=60, **small)
print(format_table(["exact match", "f1"], questions.rows))

# %%
tagging = run_task("semantic-roles", steps=80, width=32, train=800, test=100, **small)
print(format_table(["f1", "precision", "recall"], tagging.rows))

# %%
plots = run_task("classification", steps=60, width=32, train=800, test=200, **small)
print(format_table(["accuracy", "macro f1"], plots.rows))

# %% alt="Horizontal bars for four tasks. In each the neural models, the simple rivals and chance are compared. Naive Bayes is at 1.0 in sentiment and above both networks in classification; in question answering and semantic roles the rivals that only count are not far below the BERT."
shown = {
    "sentiment (accuracy)": (sentiment, "accuracy"),
    "questions (exact match)": (questions, "exact match"),
    "semantic roles (F1)": (tagging, "f1"),
    "plots (accuracy)": (plots, "accuracy"),
}
fig, axes = plt.subplots(figsize=(7.2, 5.2))
names, place = [], 0
for title, (result, column) in shown.items():
    for row in result.rows:
        learned = "parameters" in row.values
        axes.barh(place, row.values[column], color="C0" if learned else "0.6")
        axes.text(row.values[column] + 0.01, place, row.name, va="center", fontsize=8)
        place -= 1
    names.append((title, place + (len(result.rows) + 1) / 2))
    place -= 1
axes.set_yticks([at for _, at in names], [title for title, _ in names])
axes.set(title="After seconds of training: networks (blue) and what they must beat (grey)",
         xlabel="score (1 is perfect)", ylabel="task", xlim=(0, 1.3), xticks=np.arange(6) / 5)  # fmt: skip
plt.show()

# %% tags=["check"]
sentiment_scores = {row.name: row.values["accuracy"] for row in sentiment.rows}
assert sentiment_scores["naive Bayes"] > 0.95
assert sentiment_scores["LSTM"] > 0.8
tagging_scores = {row.name: row.values["f1"] for row in tagging.rows}
assert tagging_scores["BERT encoder"] > tagging_scores["chance"] + 0.5
question_scores = {row.name: row.values["exact match"] for row in questions.rows}
assert question_scores["usual place"] > 0.5
plot_scores = {row.name: row.values["accuracy"] for row in plots.rows}
assert plot_scores["naive Bayes"] > plot_scores["BERT"]
assert plot_scores["naive Bayes"] > plot_scores["LSTM"]

# %% [markdown]
# After so few steps counting words beats both networks at naming plots. And the words that stand where the answer to such a question
# usually stands, the "usual place", answer most questions. Whoever reports only the network's number hides that. With the full number
# of steps the networks win, or draw where counting is perfect already: see [docs/tasks.md](../docs/tasks.md).
#
# **Try it:** double `steps` in each run. Which network overtakes its rivals first?
#
# ## Exercises
#
# Write your answer in the first cell of each, then run the second: it checks your code.
# All answers: [solutions/B_tasks.ipynb](solutions/B_tasks.ipynb).

# %% [markdown] exercise="macro-f1" minutes=10 teaches="counting by class" catches="averaging precision and recall first, a class that is never said"
# ### Exercise B.1: macro F1
#
# Write the macro average of F1 over the classes $0 \dots K - 1$ by counting, without the library's `f1`. A class that is neither said
# nor right anywhere has F1 = 0.
#
# <details><summary>Hint 1</summary>
#
# For class $k$: $tp$ is where both are $k$; $2\,tp + fp + fn$ is how often `said` is $k$ plus how often `right` is $k$.
#
# </details>
# <details><summary>Hint 2</summary>
#
# F1 first for each class, then the mean: the F1 of the mean precision and the mean recall is another number.
#
# </details>

# %% exercise="macro-f1"
def macro_f1(said, right, classes):
    """The mean over the classes 0 ... classes - 1 of their F1.

    Shapes   said, right (N,) class numbers -> a number
    """
    # BEGIN SOLUTION
    scores = []
    for k in range(classes):
        below = (said == k).sum() + (right == k).sum()
        scores.append(2 * ((said == k) & (right == k)).sum() / below if below else 0.0)
    return sum(scores) / classes
    # END SOLUTION


# %% self_check="macro-f1"
right = np.array([0, 0, 0, 1, 1, 2])
said = np.array([0, 0, 1, 1, 0, 0])
expected = (4 / 7 + 1 / 2 + 0) / 3  # 2·2/(4+3), 2·1/(2+2), 0 of 1
given = macro_f1(said, right, 3)
assert np.isclose(given, expected), f"by hand it is {expected:.4f}, you say {given:.4f}"
draw = np.random.default_rng(11)
said, right = draw.integers(0, 5, 60), draw.integers(0, 5, 60)
expected = f1(said, right, average="macro")
given = macro_f1(said, right, 5)
assert np.isclose(given, expected), f"on 60 items it is {expected:.4f}, you say {given:.4f}"
said, right = said % 4, right % 3  # 3 is never right, 4 is not even said
given, expected = macro_f1(said, right, 5), 4 / 5 * f1(said, right, average="macro")
assert np.isfinite(given), "a class that never occurs has F1 = 0, not nan"
assert np.isclose(given, expected), f"classes that are never right count, too: {expected:.4f}, not {given:.4f}"
print("right")

# %% wrong="macro-f1"
def macro_f1(said, right, classes):
    p = [((said == k) & (right == k)).sum() / max((said == k).sum(), 1) for k in range(classes)]
    r = [((said == k) & (right == k)).sum() / max((right == k).sum(), 1) for k in range(classes)]
    return 2 * np.mean(p) * np.mean(r) / (np.mean(p) + np.mean(r))


# %% wrong="macro-f1"
def macro_f1(said, right, classes):
    return float((said == right).mean())


# %% wrong="macro-f1"
def macro_f1(said, right, classes):
    scores = []
    for k in np.unique(right):
        both = ((said == k) & (right == k)).sum()
        scores.append(2 * both / ((said == k).sum() + (right == k).sum()))
    return np.mean(scores)


# %% [markdown] exercise="spans" minutes=20 teaches="reading spans from tags; what is compared is a set" catches="an I- of another kind that goes on, an I- without a beginning, the same place in two sentences, a mean of sentence scores"
# ### Exercise B.2: F1 of spans
#
# Write the F1 of spans for a list of sentences, each a list of tags, without the library's `span_scores`. `B-kind` begins a span.
# `I-kind` goes on with it if the word before belongs to a span of the *same* kind; any other `I-` belongs to no span. A span counts
# as right if its sentence, its kind, its first and its last word are right. Put all sentences together, then divide once, by (1).
#
# <details><summary>Hint 1</summary>
#
# Walk through the tags and remember the span that the last word belongs to, or that there is none. Both `O` and an `I-` that does not
# fit end it.
#
# </details>
# <details><summary>Hint 2</summary>
#
# Make a set of tuples (sentence number, kind, first word, last word) of what was said, and one of what is right. $tp$ is the size of
# their intersection, and $2\,tp + fp + fn$ the sum of both sizes.
#
# </details>

# %% exercise="spans"
def f1_of_spans(said, right):
    """F1 of the spans of all sentences together.

    said, right   lists of sentences, each a list of tags: "O", "B-kind" or "I-kind"
    """
    # BEGIN SOLUTION
    def spans_of(sentences):
        found = set()
        for number, tags in enumerate(sentences):
            kind = None  # of the span that the word before belongs to
            for place, tag in enumerate([*tags, "O"]):
                if kind is not None and tag != f"I-{kind}":
                    found.add((number, kind, first, place - 1))
                    kind = None
                if tag.startswith("B-"):
                    kind, first = tag[2:], place
        return found

    a, b = spans_of(said), spans_of(right)
    return 2 * len(a & b) / (len(a) + len(b))
    # END SOLUTION


# %% self_check="spans"
right = [["B-agent", "I-agent", "B-action", "O"], ["O", "B-time", "B-agent"], ["B-agent", "O", "O"]]
cases = {
    "the same tags": (right, 1.0),
    "a last word that is missing": ([["B-agent", "O", "B-action", "O"], *right[1:]], 4 / 5),
    "an I- of another kind": ([["B-agent", "I-agent", "B-action", "I-agent"], *right[1:]], 1.0),
    "an I- without a beginning": ([right[0], right[1], ["B-agent", "O", "I-time"]], 1.0),
    "one span into two": ([["B-agent", "B-agent", "B-action", "O"], *right[1:]], 8 / 11),
    "in the wrong sentence": ([right[0], ["O", "B-time", "O"], ["B-agent", "O", "B-agent"]], 4 / 5),
}
for name, (said, expected) in cases.items():
    given = f1_of_spans(said, right)
    assert np.isclose(given, expected), f"{name}: the F1 is {expected:.3f}, you say {given:.3f}"
tags, draw = ["O", "B-a", "I-a", "B-b", "I-b"], np.random.default_rng(12)
said, right = ([[tags[i] for i in row] for row in draw.integers(0, 5, (40, 6))] for _ in range(2))
given, expected = f1_of_spans(said, right), span_scores(said, right)["f1"]
assert np.isclose(given, expected), f"on 40 random sentences it is {expected:.4f}, you say {given:.4f}"
print("right")

# %% wrong="spans"
def f1_of_spans(said, right):
    sets = []
    for sentences in (said, right):
        found = []
        for number, tags in enumerate(sentences):
            inside = False
            for place, tag in enumerate(tags):
                if tag[0] == "B":
                    found.append((number, tag[2:], place, place))
                elif tag[0] == "I" and inside:  # of whatever kind
                    found[-1] = (*found[-1][:3], place)
                inside = tag[0] == "B" or (tag[0] == "I" and inside)
        sets.append(set(found))
    return 2 * len(sets[0] & sets[1]) / (len(sets[0]) + len(sets[1]))


# %% wrong="spans"
def f1_of_spans(said, right):
    sets = []
    for sentences in (said, right):
        found = []
        for number, tags in enumerate(sentences):
            before = "O"
            for place, tag in enumerate(tags):
                if tag[0] == "I" and before[2:] == tag[2:]:
                    found[-1] = (*found[-1][:3], place)
                elif tag != "O":  # a stray I- begins one, too
                    found.append((number, tag[2:], place, place))
                before = tag
        sets.append(set(found))
    return 2 * len(sets[0] & sets[1]) / (len(sets[0]) + len(sets[1]))


# %% wrong="spans"
def f1_of_spans(said, right):
    sets = []
    for sentences in (said, right):
        found = []
        for tags in sentences:
            kind = None
            for place, tag in enumerate(tags):
                if tag[0] == "B":
                    found.append((tag[2:], place, place))
                    kind = tag[2:]
                elif tag == f"I-{kind}":
                    found[-1] = (kind, found[-1][1], place)
                else:
                    kind = None
        sets.append(set(found))
    return 2 * len(sets[0] & sets[1]) / (len(sets[0]) + len(sets[1]))


# %% wrong="spans"
def f1_of_spans(said, right):
    return float(np.mean([span_scores([a], [b])["f1"] for a, b in zip(said, right)]))


# %% [markdown] exercise="lcs" minutes=15 teaches="dynamic programming" catches="a common run in place of a subsequence, a greedy search"
# ### Exercise B.3: the longest common subsequence
#
# Write the LCS of (5), and with it ROUGE L. Let `table[i][j]` be the length for the first `i` words of one text and the first `j` of
# the other.
#
# <details><summary>Hint 1</summary>
#
# If the last words are equal, `table[i][j] = table[i - 1][j - 1] + 1`.
#
# </details>
# <details><summary>Hint 2</summary>
#
# If not, one of the two last words is not needed: the larger of `table[i - 1][j]` and `table[i][j - 1]`.
#
# </details>

# %% exercise="lcs"
def rouge_l(said, right):
    """2 LCS / (len(said) + len(right)), of two lists of words."""
    # BEGIN SOLUTION
    table = [[0] * (len(right) + 1) for _ in range(len(said) + 1)]
    for i, a in enumerate(said, start=1):
        for j, b in enumerate(right, start=1):
            if a == b:
                table[i][j] = table[i - 1][j - 1] + 1
            else:
                table[i][j] = max(table[i - 1][j], table[i][j - 1])
    return 2 * table[-1][-1] / (len(said) + len(right))
    # END SOLUTION


# %% self_check="lcs"
for said, right, length in [
    ("a b c d", "b d", 2),
    ("a b a b a", "b a a b", 3),
    ("x a b c", "a b c x", 3),
    ("the dog saw a cat", "a cat saw the dog", 2),
]:
    words = said.split(), right.split()
    expected, given = 2 * length / sum(map(len, words)), rouge_l(*words)
    assert np.isclose(given, expected), f"{said!r} and {right!r}: LCS {length}, you say {given:.3f}"
said, right = "leo lost a robot and felt very sad", "leo found a red robot and felt happy"
expected, given = rouge([said], [right])["rougeL"], rouge_l(said.split(), right.split())
assert np.isclose(given, expected), f"ROUGE L is {expected:.3f}, you say {given:.3f}"
print("right")

# %% wrong="lcs"
def rouge_l(said, right):
    best = 0
    for i in range(len(said)):
        for j in range(len(right)):
            k = 0
            while i + k < len(said) and j + k < len(right) and said[i + k] == right[j + k]:
                k += 1
            best = max(best, k)
    return 2 * best / (len(said) + len(right))


# %% wrong="lcs"
def rouge_l(said, right):
    start = found = 0
    for word in said:
        if word in right[start:]:
            start, found = right.index(word, start) + 1, found + 1
    return 2 * found / (len(said) + len(right))


# %% [markdown]
# ## References
#
# - C. J. van Rijsbergen (1979), *Information Retrieval*, chapter 7: precision, recall and their harmonic mean, here (1).
# - P. Rajpurkar et al. (2016), *SQuAD*, arXiv:1606.05250, section 6.1: exact match and F1 of answers, here (3).
# - K. Papineni et al. (2002), *BLEU: a method for automatic evaluation of machine translation*, ACL, section 2.3: here (4).
# - C.-Y. Lin (2004), *ROUGE: a package for automatic evaluation of summaries*, section 3: here (5).
# - M. Post (2018), *A call for clarity in reporting BLEU scores*, arXiv:1804.08771: why the library computes it with sacrebleu.
# - In the library: [minillm/training/metrics](../minillm/training/metrics), [minillm/tasks](../minillm/tasks); `python -m minillm task`.
