"""SmolLM2 answers questions about stories: asked plainly, with examples in the prompt, fine-tuned.

    python tests/benchmarks/lora_smollm2.py
    python tests/benchmarks/lora_smollm2.py --steps 60 --few-shot 8 --questions 100

Needs the weights (python -m minillm weights smollm2) and gguf, which reads them.  Every question is
about another story of the toy world; no story stands in two of the sets.  The answer is a piece of the
story, and nothing else counts: exact match and F1 of the words, as SQuAD counts them.

zero-shot    the story, the question, and what an answer should look like
few-shot     before that, some questions with their answers as turns of the conversation; the weights
             stay as they are, and the prompt is all there is to learn from
fine-tuned   asked as zero-shot, after LoRA has learned from other questions; the loss counts the answer
"""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from tqdm import tqdm

import minillm
from minillm.allocator import keep_freed_memory
from minillm.cli.chat import END, chatml, load
from minillm.data import LengthBatches, ToyWorld
from minillm.finetuning import LoraConfig, add_lora, remove_lora, save_lora, trainable_parameters
from minillm.models.published import PUBLISHED
from minillm.optim import AdamW, schedule
from minillm.tasks import Row, format_table
from minillm.tasks.efficient_tuning import Steps
from minillm.terminal import wrap
from minillm.training import exact_match, fit, token_f1

TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
ASK = "{story}\n\n{question} Answer with words of the story only, as few as possible."
TOKENS = 128  # of the sequences whose training step is timed
SECONDS, GIGABYTES = 8, 3  # what such a step must not exceed
GROUP = 10  # questions that are answered at once


def cases_of(stories, rng):
    """(what the user says, the answer): one question about each story."""
    cases = []
    for story in stories:
        questions = story.questions["english"]
        chosen = questions[int(rng.integers(len(questions)))]
        cases.append((ASK.format(story=story.english, question=chosen.text), chosen.answer))
    return cases


def prompt_of(asked, examples=()):
    """The conversation up to where the answer begins; examples are earlier turns of it."""
    turns = [[("user", question), ("assistant", answer)] for question, answer in examples]
    messages = [message for turn in turns for message in turn] + [("user", asked)]
    return chatml([{"role": role, "content": content} for role, content in messages])


def answers(model, tokenizer, prompts, new_tokens, label):
    """What the model says, greedily, to each prompt; prompts of like length together."""
    ids = [tokenizer.encode(prompt) for prompt in prompts]
    order = np.argsort([len(row) for row in ids], kind="stable").tolist()
    end, said = tokenizer.get_vocab()[END], [""] * len(ids)
    with tqdm(total=len(ids), desc=label, unit="question") as bar:
        for first in range(0, len(ids), GROUP):
            rows = order[first : first + GROUP]
            T = max(len(ids[i]) for i in rows)
            padded = np.array([[end] * (T - len(ids[i])) + ids[i] for i in rows])
            mask = np.array([[0] * (T - len(ids[i])) + [1] * len(ids[i]) for i in rows])
            out = model.generate(
                padded, attention_mask=mask, max_new_tokens=new_tokens, eos_token_id=end
            )
            for i, row in zip(rows, out[:, T:].tolist(), strict=True):
                said[i] = tokenizer.decode(row[: row.index(end)] if end in row else row).strip()
            bar.update(len(rows))
    return said


def training_batches(tokenizer, cases, batch_size, seed):
    """Conversations of one turn; the loss counts the answer and its end."""
    columns = {"input_ids": [], "labels": []}
    for asked, answer in cases:
        prompt, target = tokenizer.encode(prompt_of(asked)), tokenizer.encode(answer + END)
        columns["input_ids"].append(prompt + target)
        columns["labels"].append([-100] * len(prompt) + target)
    return LengthBatches(columns, batch_size, rng=np.random.default_rng(seed))


def adapted(model, rank, seed):
    config = LoraConfig(r=rank, alpha=2 * rank, target_modules=TARGETS)
    return add_lora(model, config, rng=np.random.default_rng([seed, 1]))


def gigabytes():
    """The most memory that this process has held so far."""
    import resource  # which Windows lacks

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024) / 1e9


def time_steps(model, tokens, rounds, seed):
    """(seconds of each training step on one sequence, peak memory of the process so far)."""
    ids = np.random.default_rng(seed).integers(0, model.config.vocab_size, (1, tokens))
    steps, seconds = Steps(model.train(), {"input_ids": ids, "labels": ids}), []
    for _ in tqdm(range(rounds), desc=f"steps on {tokens} tokens", unit="step"):
        started = time.perf_counter()
        steps()
        seconds.append(time.perf_counter() - started)
    return seconds, gigabytes()


def fine_tune(model, tokenizer, cases, arguments):
    """Train the adapter; returns (seconds, the losses)."""
    batches = training_batches(tokenizer, cases, arguments.batch, arguments.seed)
    optimizer = AdamW(model.named_parameters(), lr=arguments.lr, weight_decay=0.0)
    plan = schedule.linear(optimizer, max(1, arguments.steps // 10), arguments.steps)
    minillm.manual_seed(arguments.seed)
    started = time.perf_counter()
    history = fit(
        model, optimizer, batches, steps=arguments.steps, schedule=plan, clip=1.0
    )  # fmt: skip
    return time.perf_counter() - started, history.losses


def adapter_megabytes(model, folder):
    """Save the adapter, for good if a folder is given; returns its size."""
    with tempfile.TemporaryDirectory() as scratch:
        save_lora(model, folder or scratch)
        return sum(f.stat().st_size for f in Path(folder or scratch).iterdir()) / 1e6


def show(said, asked, right, count):
    """A table of both measures, and some questions with all answers."""
    rows = [
        Row(name, {"exact match": exact_match(texts, right), "F1": token_f1(texts, right),
                   "words": statistics.mean(len(text.split()) for text in texts)})
        for name, texts in said.items()
    ]  # fmt: skip
    usual = statistics.mean(len(text.split()) for text in right)
    rows.append(Row("right answers", {"exact match": 1.0, "F1": 1.0, "words": usual}))
    print("\n" + format_table(["exact match", "F1", "words"], rows))
    for i in range(count):
        print()
        for paragraph in asked[i].partition(" Answer with")[0].split("\n\n"):
            print("\n".join(wrap(paragraph)))
        print(f"  right       {right[i]}")
        for name, texts in said.items():
            print(f"  {name:11} {' '.join(texts[i].split())[:70]}")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        epilog="example:  python tests/benchmarks/lora_smollm2.py --few-shot 4 --steps 100",
    )
    parser.add_argument("--model", metavar="FILE", help="another .gguf file or folder of a Llama")
    parser.add_argument("--few-shot", type=int, default=4, metavar="K", help="examples; 0: none")
    parser.add_argument("--questions", type=int, default=50)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--new-tokens", type=int, default=16, help="the longest answer")
    parser.add_argument("--rounds", type=int, default=5, help="timed training steps")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save", metavar="FOLDER", help="keep the adapter, in PEFT's format")
    arguments = parser.parse_args()
    path = arguments.model or PUBLISHED["smollm2"].location()
    if not Path(path).exists():
        parser.exit(2, f"{path} is not there: python -m minillm weights smollm2\n")
    keep_freed_memory()
    model, tokenizer = load(path)
    seed = arguments.seed
    seconds, peak = time_steps(adapted(model, arguments.rank, seed), TOKENS, arguments.rounds, seed)
    print(f"{trainable_parameters(model)}, r = {arguments.rank}")
    print(
        f"a training step on {TOKENS} tokens: {statistics.median(seconds):.2f} s (median of "
        f"{len(seconds)}, must be < {SECONDS}); peak of the process {peak:.2f} GB "
        f"(must be < {GIGABYTES})"
    )
    remove_lora(model)
    parts = ToyWorld().splits(max(arguments.steps * arguments.batch, 1), arguments.questions,
                              seed=seed)  # fmt: skip
    rng = np.random.default_rng([seed, 3])
    tests, known = cases_of(parts.test, rng), cases_of(parts.train, rng)
    asked, right = (list(part) for part in zip(*tests, strict=True))
    said = {}
    for name, examples in (("zero-shot", 0), ("few-shot", arguments.few_shot)):
        if examples or name == "zero-shot":
            prompts = [prompt_of(text, known[:examples]) for text in asked]
            said[name] = answers(model, tokenizer, prompts, arguments.new_tokens, name)
    adapted(model, arguments.rank, seed)
    spent, losses = fine_tune(model, tokenizer, known, arguments)
    tenth = max(len(losses) // 10, 1)
    print(
        f"{arguments.steps} steps of {arguments.batch} questions: {spent:.0f} s, loss of the answers "
        f"{np.mean(losses[:tenth]):.2f} at first, {np.mean(losses[-tenth:]):.3f} at the end; "
        f"adapter {adapter_megabytes(model, arguments.save):.1f} MB"
    )
    prompts = [prompt_of(text) for text in asked]
    said["fine-tuned"] = answers(model, tokenizer, prompts, arguments.new_tokens, "fine-tuned")
    print(f"{len(right)} questions, {arguments.few_shot} examples for few-shot")
    show(said, asked, right, min(5, len(right)))
    print(f"\npeak of the whole run {gigabytes():.2f} GB")


if __name__ == "__main__":
    main()
