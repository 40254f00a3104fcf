"""LoRA against full fine-tuning: accuracy, memory and step time, beside what they must reach.

    OPENBLAS_NUM_THREADS=1 python tests/benchmarks/lora_minilm.py --seeds 0 1 2
    OPENBLAS_NUM_THREADS=1 python tests/benchmarks/lora_minilm.py --model gpt

minilm   all-MiniLM-L6-v2 (python -m minillm weights minilm) learns whether a sentence of a review is
         positive: UCI's labelled sentences, 80 % for training, 20 % for testing, equal ones together
gpt      a GPT of the size that the toy world needs, with random weights: costs only

Both ways see the same batches in the same order from the same weights.  Steps are timed in turns, on
batches of one size, so that what slows the machine down slows both.
"""

import argparse
import statistics
import time
import warnings
from pathlib import Path

import numpy as np
from tqdm import tqdm

import minillm
from minillm.allocator import keep_freed_memory
from minillm.data import LengthBatches, ToyWorld, load_labelled_sentences, stratified_split
from minillm.finetuning import LoraConfig, add_lora, merge_lora, trainable_parameters, unmerge_lora
from minillm.models import BertForSequenceClassification, GPT2Config, GPT2LMHeadModel
from minillm.models.published import PUBLISHED
from minillm.optim import AdamW, schedule
from minillm.tasks import Row, WordVocabulary, format_table, split_words
from minillm.tasks.efficient_tuning import Steps, memory_of_step, saved_bytes
from minillm.tasks.encoders import predict
from minillm.tokenizers import BertTokenizer
from minillm.training import fit

WAYS = ("full", "LoRA")
BERT_TARGETS = ("query", "key", "value", "output.dense", "intermediate.dense")
GPT_TARGETS = ("c_attn", "c_proj", "c_fc")
LONGEST = 128  # tokens of a sentence that are read
# model -> the largest ratio of step times
TIME = {"minilm": 0.75, "gpt": 0.9}


# ------------------------------------------------------------------------------------ the models


def minilm(way, seed, rank):
    """MiniLM with a new classifier; the same one for both ways."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the classifier is new is the point
        model = BertForSequenceClassification.from_pretrained(
            PUBLISHED["minilm"].location(), num_labels=2, rng=np.random.default_rng(seed)
        )
    return adapted(model, way, rank, BERT_TARGETS, ("bert.pooler", "classifier"), seed)


def toy_gpt(way, seed, rank):
    """A GPT of two layers for the words of the toy world."""
    words = WordVocabulary(ToyWorld().vocabulary("english"))
    sizes = {"n_positions": 100, "n_embd": 128, "n_layer": 2, "n_head": 4}
    none = dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), 0.0)
    model = GPT2LMHeadModel(
        GPT2Config(vocab_size=len(words), **sizes, **none), rng=np.random.default_rng(seed)
    )
    return adapted(model, way, rank, GPT_TARGETS, (), seed)


def adapted(model, way, rank, targets, heads, seed):
    if way == "LoRA":
        config = LoraConfig(r=rank, alpha=2 * rank, target_modules=targets, modules_to_save=heads)
        add_lora(model, config, rng=np.random.default_rng([seed, 1]))
    return model


# -------------------------------------------------------------------------------------- the data


def sentences(seed):
    """((ids, labels) to train on, the same to test on)."""
    data = load_labelled_sentences()
    tokenizer = BertTokenizer.from_pretrained(PUBLISHED["minilm"].location())
    ids = [tokenizer([t], truncation=True, max_length=LONGEST)["input_ids"][0] for t in data.texts]
    keys = [" ".join(split_words(text)) for text in data.texts]
    parts = stratified_split(data.labels, 0.2, seed=seed, keys=keys)
    return [([ids[i] for i in rows], data.labels[rows]) for rows in parts]


def story_batch(batch_size):
    world = ToyWorld()
    words = WordVocabulary(world.vocabulary("english"))
    ids = [words.encode(s.tokens["english"]) for s in world.stories(batch_size, seed=1)]
    batch = LengthBatches({"input_ids": ids, "labels": ids}, batch_size, shuffle=False).batch(0)
    return batch


def two_batches(ids, labels, batch_size):
    """Of the batches by length, the one in the middle and the longest full one."""
    batches = LengthBatches({"input_ids": ids, "labels": labels}, batch_size, shuffle=False)
    return [batches.batch(len(batches) // 2), batches.batch(max(0, len(batches) - 2))]


# ----------------------------------------------------------------------------------- measurements


def trained(way, seed, arguments):
    """(the model, its accuracy on the test sentences, seconds)."""
    (ids, labels), (test_ids, test_labels) = sentences(seed)
    model = minilm(way, seed, arguments.rank)
    batches = LengthBatches(
        {"input_ids": ids, "labels": labels}, arguments.batch, rng=np.random.default_rng([seed, 2])
    )
    steps = arguments.steps or round(arguments.epochs * len(batches))
    lr = arguments.lr if way == "full" else arguments.lora_lr
    groups = [
        {"params": [(n, p) for n, p in model.named_parameters() if p.ndim >= 2]},
        {"params": [(n, p) for n, p in model.named_parameters() if p.ndim < 2],
         "weight_decay": 0.0},
    ]  # fmt: skip
    optimizer = AdamW(groups, lr=lr, weight_decay=0.01)
    plan = schedule.linear(optimizer, max(1, steps // 10), steps)
    minillm.manual_seed(seed)  # dropout
    print(f"{way}, seed {seed}: {trainable_parameters(model)}, {steps} steps", flush=True)
    started = time.perf_counter()
    fit(model, optimizer, batches, steps=steps, schedule=plan, clip=1.0)
    seconds = time.perf_counter() - started
    said = np.array(predict(model, {"input_ids": test_ids})).argmax(axis=1)
    return model, float(np.mean(said == test_labels)), seconds


def merged_difference(model, ids):
    """The largest difference of a logit between the merged and the unmerged model."""
    unmerged = np.concatenate([x.reshape(-1) for x in predict(model, {"input_ids": ids})])
    merge_lora(model)
    merged = np.concatenate([x.reshape(-1) for x in predict(model, {"input_ids": ids})])
    unmerge_lora(model)
    return float(np.abs(merged - unmerged).max())


def step_times(models, batch, rounds):
    """way -> milliseconds of a step: the median, taken in turns."""
    keep_freed_memory()  # as fit does
    steps = {way: Steps(model.train(), batch) for way, model in models.items()}
    times = {way: [] for way in models}
    for way in steps:
        steps[way]()  # the first one allocates
    for _ in tqdm(range(rounds), desc="timing", unit="round"):
        for way, step in steps.items():
            started = time.perf_counter()
            step()
            times[way].append(1000 * (time.perf_counter() - started))
    return {way: statistics.median(found) for way, found in times.items()}


def epoch_times(models, batches):
    """way -> milliseconds of a step, the mean over all batches of an epoch, taken in turns."""
    keep_freed_memory()
    total = dict.fromkeys(models, 0.0)
    for number in tqdm(range(len(batches)), desc="an epoch", unit="batch"):
        batch = batches.batch(number)
        for way, model in models.items():
            step = Steps(model.train(), batch)
            step()  # the first one allocates
            started = time.perf_counter()
            step()
            total[way] += 1000 * (time.perf_counter() - started)
    return {way: milliseconds / len(batches) for way, milliseconds in total.items()}


def line(name, full, lora, must, good):
    values = {"full": full, "LoRA": lora, "must be": must}
    if full:
        values["LoRA / full"] = f"{lora / full:.3f}"
    values["reached"] = "" if good is None else "yes" if good else "NO"
    return Row(name, values)


def cost_rows(models, batches, arguments):
    """Parameters, memory and files of both ways, and their time on each batch."""
    batch = batches[0]
    limit = TIME[arguments.model]
    size = {way: trainable_parameters(model) for way, model in models.items()}
    share = size["LoRA"].share
    memory = {way: memory_of_step(model, batch) for way, model in models.items()}
    files = {way: saved_bytes(model) / 1e6 for way, model in models.items()}
    small = arguments.model == "gpt"
    learning = [memory[way][0] / 1e6 for way in WAYS]
    peak = [memory[way][1] / 1e6 for way in WAYS]
    return [
        line("trainable parameters", *(size[way].trainable for way in WAYS), "", None),
        line("share trainable, %", 100.0, 100 * share, "" if small else "< 3",
             None if small else share < 0.03),
        line("gradients + Adam, MB", *learning, "≤ 0.1 x", learning[1] <= 0.1 * learning[0]),
        line("peak of a step, MB", *peak, "", None),
        *(time_row(models, each, arguments.rounds, limit) for each in batches),
        line("saved file, MB", *(files[way] for way in WAYS), "", None),
    ]  # fmt: skip


def time_row(models, batch, rounds, limit):
    ms = step_times(models, batch, rounds)
    name = "step of {} x {}, ms".format(*batch["input_ids"].shape)
    return line(name, ms["full"], ms["LoRA"], f"≤ {limit} x", ms["LoRA"] <= limit * ms["full"])


def epoch_row(models, arguments):
    """What a step costs in a real epoch, whose batches have all lengths."""
    (ids, labels), _ = sentences(arguments.seeds[0])
    columns = {"input_ids": ids, "labels": labels}
    batches = LengthBatches(columns, arguments.batch, shuffle=False)
    ms, limit = epoch_times(models, batches), TIME["minilm"]
    must, reached = f"≤ {limit} x", ms["LoRA"] <= limit * ms["full"]
    return line("step in an epoch, mean ms", ms["full"], ms["LoRA"], must, reached)


def accuracy_rows(arguments):
    """(rows, the two models of the last seed, batches for measuring costs)."""
    scores = {way: [] for way in WAYS}
    seconds = dict.fromkeys(WAYS, 0.0)
    difference = 0.0
    for seed in arguments.seeds:
        models = {}
        for way in WAYS:
            models[way], score, spent = trained(way, seed, arguments)
            scores[way].append(score)
            seconds[way] += spent
            print(f"  accuracy {score:.4f}", flush=True)
        train, test = sentences(seed)
        difference = max(difference, merged_difference(models["LoRA"], test[0][:100]))
    means = [statistics.mean(scores[way]) for way in WAYS]
    rows = [
        line("accuracy", *means, "≥ full - 0.01", means[1] >= means[0] - 0.01),
        *(line(f"  seed {s}", scores["full"][i], scores["LoRA"][i], "", None)
          for i, s in enumerate(arguments.seeds)),
        line("training, s", *(seconds[way] for way in WAYS), "", None),
        merge_row(difference),
    ]  # fmt: skip
    return rows, models, two_batches(*train, arguments.batch)


def merge_row(difference):
    values = {"LoRA": f"{difference:.1e}", "must be": "≤ 1e-05"}
    return Row("merged - unmerged", {**values, "reached": "yes" if difference <= 1e-5 else "NO"})


def gpt_rows(arguments):
    """The same for the toy GPT, whose adapter has learned for a few steps."""
    seed = arguments.seeds[0]
    models = {way: toy_gpt(way, seed, arguments.rank) for way in WAYS}
    batch = story_batch(arguments.batch)
    optimizer = AdamW(models["LoRA"].named_parameters(), lr=3e-3)
    fit(models["LoRA"], optimizer, [batch], steps=20)
    rows = batch["input_ids"][batch["attention_mask"].all(axis=1)]
    ids = (rows if len(rows) else batch["input_ids"])[:1].tolist()
    return [merge_row(merged_difference(models["LoRA"], ids))], models, [batch]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        epilog="example:  python tests/benchmarks/lora_minilm.py --seeds 0 1 2",
    )
    parser.add_argument("--model", choices=tuple(TIME), default="minilm")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="splits and heads")
    parser.add_argument("--epochs", type=float, default=3.0)
    parser.add_argument("--steps", type=int, help="instead of epochs")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--lr", type=float, default=2e-4, help="of full fine-tuning")
    parser.add_argument("--lora-lr", type=float, default=1e-3)
    parser.add_argument("--rounds", type=int, default=15, help="timed steps of each way")
    parser.add_argument("--costs-only", action="store_true", help="train for one step only")
    arguments = parser.parse_args()
    if arguments.model == "minilm" and not Path(PUBLISHED["minilm"].location()).exists():
        parser.exit(2, "the weights are not there: python -m minillm weights minilm\n")
    if arguments.costs_only:
        arguments.steps = 1
    find = gpt_rows if arguments.model == "gpt" else accuracy_rows
    rows, models, batches = find(arguments)
    rows += cost_rows(models, batches, arguments)
    if arguments.model == "minilm":
        rows.append(epoch_row(models, arguments))
    print(f"\n{arguments.model}, r = {arguments.rank}, alpha = {2 * arguments.rank}\n")
    print(format_table([*WAYS, "LoRA / full", "must be", "reached"], rows))
    width = 384 if arguments.model == "minilm" else 128
    print(
        f"\na matrix of in * out numbers gets r (in + out): 2 r / C = {2 * arguments.rank / width:.3f}"
        f" of a square one of width C = {width}"
    )


if __name__ == "__main__":
    main()
