"""Which runs the figures of docs/tasks.md come from, and which of them must be reached."""

# a task, and options; those of STUDIES are run with one seed, because they compare on their own
TASK_RUNS = (
    ("sentiment",),
    ("sentiment", "--data=uci"),
    ("classification",),
    ("classification", "--data=sms"),
    ("language-modelling",),
    ("masked-words",),
    ("next-sentence",),
    ("translation",),
    ("translation", "--data=tatoeba"),
    ("question-answering",),
    ("summarisation",),
    ("semantic-roles",),
    ("generation",),
    ("dialogue",),
    ("word-vectors",),
)
STUDIES = (
    ("overfitting",),
    ("overfitting", "--data=uci"),
    ("long-texts",),
    ("optimizers",),
    ("learning-curve",),
    ("model-choice",),
    ("transfer",),
    ("efficient-tuning",),
    ("bias",),
)

# run, name of the figure, sign, what it must be, what it is
TARGETS = (
    (("language-modelling",), "GPT, nats above the floor", "≤", 0.05, "GPT: nats above the floor"),
    (("masked-words",), "BERT encoder, of best", "≥", 0.95, "masked words: share of the best accuracy"),
    (("next-sentence",), "BERT encoder, accuracy", "≥", 0.95, "next sentence: accuracy"),
    (("translation",), "Transformer, en → zh, bleu", "≥", 90, "translation to Chinese: BLEU"),
    (("translation",), "Transformer, zh → en, bleu", "≥", 90, "translation to English: BLEU"),
    (("question-answering",), "BERT encoder, exact match", "≥", 0.95, "questions: exact match"),
    (("semantic-roles",), "BERT encoder, F1", "≥", 0.97, "semantic roles: F1 of spans"),
    (("summarisation",), "Transformer, R-L", "≥", 0.9, "summaries: ROUGE-L"),
    (("sentiment",), "LSTM, accuracy", "≥", 0.97, "sentiment, LSTM: accuracy"),
    (("sentiment",), "BERT, accuracy", "≥", 0.97, "sentiment, BERT: accuracy"),
    (("sentiment", "--data=uci"), "LSTM, accuracy", "≥", 0.75, "UCI reviews, LSTM: accuracy"),
    (("classification", "--data=sms"), "LSTM, f1", "≥", 0.93, "SMS spam: F1"),
)  # fmt: skip
