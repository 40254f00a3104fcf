# %% [markdown]
# # 24 · Real weights: MiniLM, SmolLM2, few-shot
#
# **You need:** [chapter 14](14_gpt.ipynb) (GPT), [chapter 17](17_bert.ipynb) (BERT), [chapter 13](13_tokenizers.ipynb) (tokenizers).
#
# **Time:** 20 minutes of reading, 35 for the exercises.
#
# **You will be able to** read a file of weights byte by byte, compare sentences by their vectors, ask a language model for its
# next word, and measure what examples in a prompt are worth.

# %% [markdown]
# ## Why it matters
#
# All models of this book so far were trained on this book's own small data. The same code runs models that others have trained
# for weeks. Nothing new has to be learned for that, except how the numbers get from a file into our arrays. Two models are
# used here:
#
# | | MiniLM | SmolLM2 |
# |---|---|---|
# | kind | BERT with 6 layers | Llama, a GPT with 30 layers |
# | reads and gives | a sentence, a vector of 384 numbers | a text, probabilities of the next token |
# | file | safetensors, float32 | GGUF, 5 bits for most weights |
#
# This SmolLM2 has been through **instruction tuning（指令微调）**, fine-tuning on instructions with their answers, so that one can
# chat with it (`python -m minillm chat`). Here it only says what comes next.
#
# The weights do not come with this book. `python -m minillm weights` fetches them once. Without them a line
# for each says so, and the cells that need them print nothing; the outputs on this page were made with them.

# %% tags=["setup"]
import importlib.util
import json
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from safetensors.numpy import save_file

import minillm
from minillm import no_grad
from minillm.gradcheck import check_gradients
from minillm.models import BertConfig, BertModel, LlamaForCausalLM
from minillm.models.gguf import GGUFFile
from minillm.models.published import PUBLISHED
from minillm.tokenizers import BertTokenizer
from minillm.viz import book_style

minillm.manual_seed(0)
book_style()
rng = np.random.default_rng(0)


def weights_of(name):
    """Where published weights lie; None, with a line that says how to get them, if they do not."""
    folders = [folder / "build" / "weights" for folder in (Path.cwd(), *Path.cwd().parents)]
    places = [PUBLISHED[name].location(folder) for folder in folders]
    found = next((place for place in places if place.exists()), None)
    if found is None:
        print(f"{name} is not here: python -m minillm weights {name} ({PUBLISHED[name].megabytes} MB)")
    return found

# %% [markdown]
# ## What is in a file of weights
#
# **Safetensors** is the usual format. It is simple enough to read by hand: 8 bytes with a length $n$, the lowest byte first;
# $n$ bytes of JSON text, the header; then all numbers of all arrays, one after the other. Let us write a small file and take it
# apart.

# %%
with tempfile.TemporaryDirectory() as folder:
    file = Path(folder) / "tiny.safetensors"
    save_file({"weight": np.array([[1.0, -2.0]], "float32"), "ids": np.array([7, 8])}, file)
    data = file.read_bytes()

n = int.from_bytes(data[:8], "little")
header = json.loads(data[8 : 8 + n])
print("bytes:", len(data), "  header:", n)
for name, entry in header.items():
    print(f"  {name}: {entry}")
start, end = header["weight"]["data_offsets"]
print("weight:", np.frombuffer(data[8 + n :][start:end], "<f4").reshape(header["weight"]["shape"]))

# %% tags=["check"]
assert np.frombuffer(data[8 + n :][start:end], "<f4").tolist() == [1.0, -2.0]

# %% [markdown]
# `F32` are float32 numbers, 4 bytes each; NumPy calls them `<f4`, the lowest byte first. Many models are kept in `BF16`: the *upper
# half* of a float32, its sign, its 8 bits of exponent and the first 7 of its fraction. NumPy has no such type. Two bytes of zeros
# behind it make a float32 of it:

# %%
exact = np.array([3.14159265, -0.1, 1e30], dtype="<f4")
kept = (exact.view("<u4") >> 16).astype("<u2")  # cut the lower half off: bfloat16
back = (kept.astype("<u4") << 16).view("<f4")
for before, after in zip(exact.tolist(), back.tolist(), strict=True):
    print(f"{before:12.6g} -> {after:12.6g}   off by {abs(after / before - 1):.2%}")

# %% tags=["check"]
assert (abs(back / exact - 1) < 2**-7).all()

# %% [markdown]
# The same range as float32, with two to three digits. That is enough for a trained weight. Now the header of MiniLM:

# %%
folder = weights_of("minilm")
if folder:
    with open(folder / "model.safetensors", "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    header.pop("__metadata__", None)
    numbers = {name: int(np.prod(entry["shape"])) for name, entry in header.items()}
    print(f"{len(numbers)} arrays, {sum(numbers.values()):,} numbers; the largest:")
    for name in sorted(numbers, key=numbers.get, reverse=True)[:4]:
        print(f"  {header[name]['dtype']}  {header[name]['shape']!s:<14}{name}")

# %% tags=["check"]
if folder:
    assert len(numbers) > 100
    assert sum(numbers.values()) > 22e6

# %% [markdown]
# More than half of MiniLM is its table of word vectors. Our classes have the names of the file as their own, so loading is a
# loop over names ([minillm/models/pretrained.py](../minillm/models/pretrained.py)).
#
# ## A vector for a sentence
#
# BERT gives a vector $h_t$ for each token. A **sentence vector** is their mean, brought to the length 1. A batch has
# **padding（填充）** ([chapter 11](11_attention.ipynb)), which must not count. With $m_t = 1$ for a token and 0 for padding:
#
# <a id="formula-sentence-embeddings"></a>
# $$s_c = \frac{\sum_t m_t h_{tc}}{\sum_t m_t}, \qquad
#   e_c = \frac{s_c}{\sqrt{\sum_k s_k^2}}, \qquad
#   \cos(e, e') = \sum_c e_c e'_c \tag{1}$$
#
# | symbol | shape | what it is |
# |---|---|---|
# | $h$ | $(T, C)$ | the last layer's vectors; $C = 384$ in MiniLM |
# | $m$ | $(T,)$ | the attention mask of the text |
# | $e$ | $(C,)$ | the sentence vector |
#
# The inner product of two of them is the cosine of the angle between them, the **cosine similarity（余弦相似度）**: 1 for the same
# direction, 0 for a right angle.
#
# Backward of the mean is short. $h_{tc}$ moves $s_c$ with the factor $m_t / \sum_t m_t$. A classic mistake forgets the mask there, so that
# padding gets a gradient:

# %%
def mean_forward(h, *, mask):
    count = mask.sum(axis=1, keepdims=True)
    return (h * mask[..., None]).sum(axis=1) / count, (mask, count)


def mean_backward(grad_out, saved):
    mask, count = saved
    return ((grad_out / count)[:, None, :] * mask[..., None],)


def mean_backward_wrong(grad_out, saved):
    mask, count = saved
    return (np.repeat((grad_out / count)[:, None, :], mask.shape[1], axis=1),)


h, mask = rng.standard_normal((2, 5, 3)), np.array([[1.0, 1, 1, 1, 1], [1, 1, 0, 0, 0]])
print(check_gradients(mean_forward, mean_backward, h, mask=mask), "\n")
report = check_gradients(mean_forward, mean_backward_wrong, h, mask=mask)
print(report)

# %% tags=["check"]
assert check_gradients(mean_forward, mean_backward, h, mask=mask).passed
assert report.findings[0].kind == "wrong_entries"

# %% [markdown]
# Forgetting the mask in *forward* is worse, for no gradient check sees it: a sentence then gets another vector when a longer one
# stands in its batch. A BERT with random weights is enough to show it:

# %%
small = BertModel(BertConfig(vocab_size=50, hidden_size=12, num_hidden_layers=2,
                             num_attention_heads=3, intermediate_size=24)).eval()  # fmt: skip
alone, padded = [[7, 8, 9]], [[7, 8, 9, 0, 0, 0]]
with no_grad():
    right = [
        small.sentence_embeddings(alone).numpy(),
        small.sentence_embeddings(padded, [[1, 1, 1, 0, 0, 0]]).numpy(),
    ]
    wrong = small(padded, [[1, 1, 1, 0, 0, 0]]).last_hidden_state.numpy().mean(axis=1)
    wrong /= np.linalg.norm(wrong)
print(f"with the mask:    cosine of the two vectors {(right[0] * right[1]).sum():.6f}")
print(f"without the mask: cosine of the two vectors {(right[0] * wrong).sum():.6f}")

# %% tags=["check"]
assert abs((right[0] * right[1]).sum() - 1) < 1e-5
assert (right[0] * wrong).sum() < 0.999

# %% [markdown]
# ## Which sentences mean the same?

# %% alt="Heat map of cosine similarities of eight sentences. Bright blocks along the diagonal: two about feeding ducks, two about trains, two about a meal, two about mathematics; the pair about trains is fainter, and all others are dark."
sentences = [
    "A child feeds the ducks by the pond.",
    "A kid is giving bread to some birds at the lake.",
    "The train to the coast was an hour late.",
    "We waited for a long time on the platform.",
    "The soup was cold and the waiter was rude.",
    "I would not eat in that restaurant again.",
    "The derivative of a sum is the sum of the derivatives.",
    "Differentiation is linear.",
]
if folder:
    minilm, tokenizer = BertModel.from_pretrained(folder), BertTokenizer.from_pretrained(folder)
    with no_grad():
        vectors = minilm.sentence_embeddings(**tokenizer(sentences, padding=True)).numpy()
    cosines = vectors @ vectors.T
    print("the nearest other sentence of each:")
    for i, row in enumerate(cosines - 2 * np.eye(len(sentences))):
        print(f"{row.max():5.2f}  {sentences[i][:38]:<38}  {sentences[row.argmax()][:38]}")
    fig, axes = plt.subplots(figsize=(7.0, 3.6))
    image = axes.imshow(cosines, vmin=0, vmax=1)
    axes.set_yticks(range(8), [f"{s[:30]}…" if len(s) > 30 else s for s in sentences], fontsize=8)
    axes.set_xticks(range(8), range(1, 9))
    axes.set(title="Cosine similarity of sentence vectors", xlabel="sentence number", ylabel="sentence")
    fig.colorbar(image, label="cosine")
    plt.show()

# %% tags=["check"]
if folder:
    pairs = [cosines[i, i + 1] for i in range(0, 8, 2)]
    others = [cosines[i, j] for i in range(8) for j in range(8) if i // 2 != j // 2]
    assert min(pairs) > 0.2
    assert min(pairs) > np.mean(others) + 0.15
    assert pairs[0] > 0.4

# %% [markdown]
# The two about ducks share hardly a word. The model was trained on pairs of sentences that belong together, and so has learned
# that *child* and *kid*, *pond* and *lake* stand in like places. Change the sentences and try to fool it: does it notice "not"?
#
# ## Five bits for a weight
#
# SmolLM2 comes as a GGUF file with **quantisation（量化）**: 32 neighbours of a row share a scale $d$ and a minimum $m$ (no mask now), two
# numbers of 16 bits, and each weight is an integer $q_i$ of 4 bits, 0 … 15:
#
# <a id="formula-dequantise-q4-1"></a>
# $$w_i = d\, q_i + m \tag{2}$$
#
# That makes $(32 \cdot 4 + 2 \cdot 16) / 32 = 5$ bits for a weight in place of 32. The library's code; a byte holds two integers:

# %% library="minillm.models.gguf:dequantise_q4_1"

# %%
row = rng.normal(0, 0.05, 32)
m, d = row.min(), (row.max() - row.min()) / 15
q = ((row - m) / d).round().astype("uint8")
block = np.concatenate([np.array([d, m], "<f2").view("uint8"), q[:16] | (q[16:] << 4)])
restored = dequantise_q4_1(block[None])[0]
print(f"{row.nbytes // 2} bytes as float32, {len(block)} bytes quantised")
print(f"largest error {abs(restored - row).max():.4f}; half a step d/2 is {d / 2:.4f}")

# %% tags=["check"]
assert len(block) == 20
assert abs(restored - row).max() < 0.6 * d

# %% [markdown]
# ## The next word

# %%
file = weights_of("smollm2")
smollm = None
if file and importlib.util.find_spec("gguf") is None:
    print("reading it needs the library gguf: python -m pip install gguf")
elif file:
    gguf = GGUFFile(file)
    smollm, pieces = LlamaForCausalLM.from_pretrained(gguf), gguf.tokenizer()
    size = file.stat().st_size
    print(f"{smollm.num_parameters():,} parameters; {size / 1e6:.0f} MB in the file, "
          f"{smollm.num_parameters() * 4 / 1e6:.0f} MB in memory as float32")  # fmt: skip

# %% tags=["check"]
if smollm:
    assert smollm.num_parameters() == 134_515_008

# %% alt="Bar chart of the six most probable next tokens after 'The capital of France is': Paris with a probability of about 0.77, then 'the' with 0.07, then others near 0.01."
def next_tokens(prompt, k=6):
    """The k most probable next tokens with their probabilities."""
    with no_grad():
        logits = smollm([pieces.encode(prompt)]).logits.numpy()[0, -1].astype(float)
    p = np.exp(logits - logits.max())
    p /= p.sum()
    best = p.argsort()[::-1][:k]
    return [(pieces.decode([i]), p[i]) for i in best]


if smollm:
    for prompt in ("Water boils at 100 degrees", "Once upon a", "def add(a, b):\n    return"):
        found = ", ".join(f"{token!r} {p:.2f}" for token, p in next_tokens(prompt, 3))
        print(f"{prompt!r:<32} {found}")
    tokens, p = zip(*next_tokens("The capital of France is"), strict=True)
    fig, axes = plt.subplots(figsize=(6.4, 2.6))
    axes.bar([repr(token) for token in tokens], p)
    axes.set(title="After “The capital of France is”", xlabel="next token", ylabel="probability",
             ylim=(0, 1))  # fmt: skip
    plt.show()

# %% tags=["check"]
if smollm:
    assert next_tokens("The capital of France is", 1)[0][0] == " Paris"
    assert 0.7 < next_tokens("The capital of France is", 1)[0][1] < 0.85

# %% [markdown]
# Nobody told the model about capitals. It has read much text, and knowing capitals made that text less surprising.
#
# ## Zero-shot and few-shot
#
# Can a model do a task for which it was never trained? A prompt of the form `Egypt ->` says nothing about what is wanted: that is
# *zero-shot*, no example. A few solved cases before it make the task clear, and no weight changes: this is **few-shot
# learning（少样本学习）** by **in-context learning（上下文学习）**. Eight questions each, none of which is among the examples:

# %%
TASKS = {
    "capitals": "France Paris Italy Rome Spain Madrid Japan Tokyo Egypt Cairo Germany Berlin Russia "
    "Moscow Greece Athens China Beijing Peru Lima Cuba Havana Norway Oslo",
    "plurals": "cat cats child children mouse mice box boxes city cities foot feet man men dog dogs "
    "leaf leaves tooth teeth bus buses woman women",
    "opposites": "hot cold big small up down fast slow light dark old young rich poor happy sad hard "
    "soft early late full empty strong weak",
}


def pairs_of(task):
    listed = TASKS[task].split()
    return list(zip(listed[::2], listed[1::2], strict=True))


def prompt_of(examples, question):
    return "".join(f"{a} -> {b}\n" for a, b in examples) + f"{question} ->"


def says(prompt, answer):
    """Is every token of the answer the likeliest one after what stands before it?"""
    given, whole = pieces.encode(prompt), pieces.encode(f"{prompt} {answer}\n")
    with no_grad():
        best = smollm([whole]).logits.numpy()[0].argmax(axis=-1)
    return best[len(given) - 1 : -2].tolist() == whole[len(given) : -1]


print(prompt_of(pairs_of("capitals")[:2], "Egypt"))

# %%
scores = {}
if smollm:
    print("right answers of 8      examples:      0    1    2    4")
    for task in ("capitals", "plurals"):
        examples, questions = pairs_of(task)[:4], pairs_of(task)[4:]
        for k in (0, 1, 2, 4):
            scores[task, k] = sum(says(prompt_of(examples[:k], a), b) for a, b in questions)
        print(f"{task:<34}" + "".join(f"{scores[task, k]:5}" for k in (0, 1, 2, 4)))

# %% alt="Three rising lines: right answers of eight over the number of examples in the prompt. All begin at 0 without examples and end at 7 or 8 with four."
if smollm:
    examples, questions = pairs_of("opposites")[:4], pairs_of("opposites")[4:]
    for k in (0, 1, 2, 4):
        scores["opposites", k] = sum(says(prompt_of(examples[:k], a), b) for a, b in questions)
    fig, axes = plt.subplots(figsize=(6.4, 3.0))
    for number, task in enumerate(TASKS):
        line = [scores[task, k] for k in (0, 1, 2, 4)]
        axes.plot((0, 1, 2, 4), line, marker="os^"[number], linestyle=("-", "--", ":")[number], label=task)
    axes.set(title="What examples in the prompt are worth", xlabel="examples in the prompt",
             ylabel="right answers of 8", xticks=(0, 1, 2, 4))  # fmt: skip
    axes.legend()
    plt.show()

# %% tags=["check"]
if smollm:
    assert all(scores[task, 0] <= 1 for task in TASKS)
    assert all(scores[task, 4] >= 6 for task in TASKS)

# %% [markdown]
# Without an example the model does not know what the arrow means. With four it answers nearly everything. It has learned nothing
# new in between: the same weights, another text before the question.
#
# **Try it:** give *wrong* examples (`"France Rome Italy Paris …"`), or reverse the direction (`"Paris France …"`). Does the model
# follow the examples or its knowledge? A warning about the measure: eight questions are few ([chapter 21](21_fine_tuning.ipynb),
# where ten are examined), and a model of this size fails at tasks that need more than one step. How it does on a task of the toy
# world, before and after fine-tuning with LoRA, stands in [docs/tasks.md](../docs/tasks.md).
#
# ## Exercises
#
# They need no weights. Write your answer in the first cell of each, then run the second: it checks your code.
# All answers: [solutions/24_real_weights.ipynb](solutions/24_real_weights.ipynb).

# %% [markdown] exercise="reader" minutes=15 teaches="a binary format: offsets, dtypes, byte order" catches="offsets counted from the start of the file, bfloat16 read as float16, a lost shape"
# ### Exercise 24.1: your own reader of safetensors
#
# Write a function that takes the bytes of a safetensors file and returns a dict of float32 arrays. Two dtypes are enough: `F32` and
# `BF16`. The offsets in the header count from the end of the header.
#
# <details><summary>Hint 1</summary>
#
# The numbers begin at byte $8 + n$. Skip an entry called `__metadata__`.
#
# </details>
# <details><summary>Hint 2</summary>
#
# `np.frombuffer(part, "<f4")` for F32, `np.frombuffer(part, "<u2")` for BF16, then the shift from above (in 32
# bits: of 16 bits nothing would be left).
#
# </details>
# <details><summary>Hint 3</summary>
#
# `.reshape(entry["shape"])` at the end; a scalar has the shape `[]`.
#
# </details>

# %% exercise="reader"
def read_safetensors(data):
    """The arrays of a file, by name, as float32.

    data   all bytes of the file
    """
    # BEGIN SOLUTION
    n = int.from_bytes(data[:8], "little")
    arrays = {}
    for name, entry in json.loads(data[8 : 8 + n]).items():
        if name == "__metadata__":
            continue
        start, end = entry["data_offsets"]
        part = data[8 + n + start : 8 + n + end]
        if entry["dtype"] == "BF16":
            numbers = (np.frombuffer(part, "<u2").astype("<u4") << 16).view("<f4")
        else:
            numbers = np.frombuffer(part, "<f4")
        arrays[name] = numbers.reshape(entry["shape"])
    return arrays
    # END SOLUTION


# %% self_check="reader"
first, second = np.arange(6, dtype="<f4").reshape(2, 3) / 7, np.array([1.5, -2.0, 2.0**40], "<f4")
halves = (second.view("<u4") >> 16).astype("<u2")
entries = {
    "__metadata__": {"format": "np"},
    "a": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
    "b": {"dtype": "BF16", "shape": [3], "data_offsets": [24, 30]},
}
text = json.dumps(entries).encode()
data = len(text).to_bytes(8, "little") + text + first.tobytes() + halves.tobytes()
arrays = read_safetensors(data)
assert set(arrays) == {"a", "b"}, f"the arrays are a and b, you return {sorted(arrays)}"
assert arrays["a"].shape == (2, 3), f"a has the shape (2, 3), yours has {arrays['a'].shape}"
assert np.array_equal(arrays["a"], first), f"a is wrong: {arrays['a']}"
assert np.array_equal(arrays["b"], second), f"b should be {second}, you return {arrays['b']}"
print("right:", {name: array.shape for name, array in arrays.items()})

# %% wrong="reader"
def read_safetensors(data):
    n = int.from_bytes(data[:8], "little")
    arrays = {}
    for name, entry in json.loads(data[8 : 8 + n]).items():
        if name != "__metadata__":
            start, end = entry["data_offsets"]
            kind = {"F32": "<f4", "BF16": "<f2"}[entry["dtype"]]
            part = np.frombuffer(data[8 + n + start : 8 + n + end], kind)
            arrays[name] = part.astype("<f4").reshape(entry["shape"])
    return arrays


# %% wrong="reader"
def read_safetensors(data):
    n = int.from_bytes(data[:8], "little")
    arrays = {}
    for name, entry in json.loads(data[8 : 8 + n]).items():
        if name != "__metadata__":
            start, end = entry["data_offsets"]
            part = data[start:end]
            if entry["dtype"] == "BF16":
                numbers = (np.frombuffer(part, "<u2").astype("<u4") << 16).view("<f4")
            else:
                numbers = np.frombuffer(part, "<f4")
            arrays[name] = numbers.reshape(entry["shape"])
    return arrays


# %% [markdown] exercise="answer-score" minutes=10 teaches="which logits predict which token" catches="the shift by one; counting the prompt"
# ### Exercise 24.2: how likely is an answer?
#
# To let a model choose among answers, one compares their log-probabilities. `logits[t]` are the scores for the token *after*
# position $t$. Given the ids of prompt and answer together and the length of the prompt, return $\log p(\text{answer} \mid \text{prompt})$,
# the sum over the tokens of the answer.
#
# <details><summary>Hint 1</summary>
#
# The first token of the answer is `ids[start]`. Which row of logits was computed without having seen it?
#
# </details>
# <details><summary>Hint 2</summary>
#
# `log_p = logits - log(sum(exp(logits)))` for each row, after subtracting the largest.
#
# </details>

# %% exercise="answer-score"
def log_probability(logits, ids, start):
    """log p(ids[start:] | ids[:start]), in nats.

    Shapes   logits (T, V), ids (T,) -> a number
    """
    # BEGIN SOLUTION
    shifted = logits - logits.max(axis=-1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return sum(log_p[t - 1, ids[t]] for t in range(start, len(ids)))
    # END SOLUTION


# %% self_check="answer-score"
# a model that knows: after token i comes i + 1 with probability 1/2, else any of the 7 others
ids = np.array([2, 3, 4, 5, 1])
p = np.full((5, 8), 0.5 / 7)
p[np.arange(5), ids + 1] = 0.5
logits = np.log(p) + np.array([[5.0], [-3.0], [900.0], [0.0], [1.0]])  # a constant changes nothing
for start, expected in ((1, 3 * np.log(0.5) + np.log(0.5 / 7)), (4, np.log(0.5 / 7))):
    given = log_probability(logits, ids, start)
    assert np.isclose(given, expected), f"from {start} on: {expected:.4f}, you say {given:.4f}"
print("right")

# %% wrong="answer-score"
def log_probability(logits, ids, start):
    shifted = logits - logits.max(axis=-1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return sum(log_p[t, ids[t]] for t in range(start, len(ids)))


# %% wrong="answer-score"
def log_probability(logits, ids, start):
    shifted = logits - logits.max(axis=-1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return sum(log_p[t - 1, ids[t]] for t in range(1, len(ids)))


# %% [markdown] exercise="quantise" minutes=10 teaches="rounding to a grid" catches="16 steps for 16 values, cutting off in place of rounding, a block of equal weights"
# ### Exercise 24.3: quantise
#
# Write the other direction of (2): from 32 weights to $d$, $m$ and $q$, such that the smallest and the largest weight come out exactly and
# no other one is off by more than $d / 2$. A block of 32 equal weights must work, too.
#
# <details><summary>Hint 1</summary>
#
# 16 values have 15 steps between them.
#
# </details>
# <details><summary>Hint 2</summary>
#
# `astype` cuts off, `np.round` rounds. If all weights are equal, $d = 0$: do not divide by it.
#
# </details>

# %% exercise="quantise"
def quantise(weights):
    """(d, m, q) with weights about d * q + m, and q integers from 0 to 15."""
    # BEGIN SOLUTION
    m = weights.min()
    d = (weights.max() - m) / 15
    q = np.zeros(len(weights), dtype=int) if d == 0 else np.round((weights - m) / d).astype(int)
    return d, m, q
    # END SOLUTION


# %% self_check="quantise"
weights = np.random.default_rng(15).normal(0, 0.05, 32)
with np.errstate(all="ignore"):
    for block in (weights, np.full(32, 0.25)):
        d, m, q = quantise(block)
        assert np.isfinite(d * q + m).all(), "d * q + m is nan: is something divided by d = 0?"
        assert q.min() >= 0 and q.max() <= 15, f"q goes from {q.min()} to {q.max()}, not 0 to 15"
        error = abs(d * q + m - block)
        assert error.max() <= d / 2 + 1e-9, f"a weight is off by {error.max() / max(d, 1e-9):.2f} steps"
        ends = error[[block.argmin(), block.argmax()]]
        assert ends.max() < 1e-9, "the smallest and the largest weight must come out exactly"
print("right")

# %% wrong="quantise"
def quantise(weights):
    m = weights.min()
    d = (weights.max() - m) / 16
    return d, m, np.round((weights - m) / d).clip(0, 15).astype(int)


# %% wrong="quantise"
def quantise(weights):
    m = weights.min()
    d = (weights.max() - m) / 15
    return d, m, ((weights - m) / max(d, 1e-12)).astype(int)


# %% [markdown]
# ## References
#
# - N. Reimers, I. Gurevych (2019), *Sentence-BERT*, arXiv:1908.10084, section 3: the mean of the tokens' vectors, here (1).
# - W. Wang et al. (2020), *MiniLM*, arXiv:2002.10957: how a small model learns from the attention of a large one.
# - L. Ben Allal et al. (2025), *SmolLM2*, arXiv:2502.02737.
# - T. B. Brown et al. (2020), *Language models are few-shot learners*, arXiv:2005.14165, figure 2.1: zero-shot and few-shot prompts.
# - In the library: [minillm/models/pretrained.py](../minillm/models/pretrained.py), [minillm/models/gguf.py](../minillm/models/gguf.py),
#   [minillm/models/bert.py](../minillm/models/bert.py); `python -m minillm weights`, `embed`, `chat`, `generate`.
