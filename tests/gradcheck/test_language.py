"""MINILLM_LANG=zh: the checker's verdicts in Chinese, all of them, and no English in between."""

import ast
import html
import inspect
import re
import string
from pathlib import Path

import numpy as np
import pytest

from minillm import Tensor, differentiable, ops
from minillm.cli.main import main
from minillm.gradcheck import check_function, check_gradients, check_model
from minillm.gradcheck.chinese import CHINESE
from minillm.gradcheck.kinds import FORWARD_KINDS, KINDS
from minillm.gradcheck.language import GAP, language, say
from minillm.gradcheck.mutants import MUTANTS
from minillm.gradcheck.suite import reject
from minillm.nn import Linear, Module, Sequential
from minillm.terminal import columns_of

ROOT = Path(inspect.getfile(check_gradients)).parent
FILES = [
    *(path for path in ROOT.rglob("*.py") if "mutants" not in path.parts),
    ROOT.parent / "cli" / "gradcheck.py",
]
WORD = re.compile(r"(?<![\w.])[A-Za-z]\w*", re.ASCII)
# what is code in both languages: names in Python and in the report, functions in formulas
CODE = set(
    """
    forward backward grad_out saved out None True NaN Inf np numpy NumPy add at random Generator data
    detach no_grad item float needs reshape model eval padding_idx softmax weight_h mean sum exp log
    sqrt sigmoid tanh h r z n o c f g i a max e T inf nan x ndarray list tuple float16
    float32 float64 complex128 bool p norm rstd arrays scale mu eps int64 False pi ln
""".split()
)


@pytest.fixture
def chinese(monkeypatch):
    monkeypatch.setenv("MINILLM_LANG", "zh")


def sentences_of_the_code():
    """Every sentence that say() or later() is given, with the place."""
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            name, arguments = getattr(node.func, "id", ""), node.args
            if name == "map" and getattr(arguments[0], "id", "") == "later":
                arguments = arguments[1].elts
            elif name not in ("say", "later"):
                continue
            for argument in arguments:
                if isinstance(argument, ast.Constant):
                    yield argument.value, f"{path.name}, line {node.lineno}"


def placeholders(sentence):
    return sorted({
        (name, spec, conversion)
        for _, name, spec, conversion in string.Formatter().parse(sentence)
        if name is not None
    })  # fmt: skip


# ------------------------------------------------------------------------------ the catalogue


def test_every_sentence_has_its_translation_and_no_translation_is_left_over():
    used = dict(sentences_of_the_code()) | dict.fromkeys([*KINDS.values(), *FORWARD_KINDS.values()])
    assert len(used) > 300
    missing = {sentence: place for sentence, place in used.items() if sentence not in CHINESE}
    assert not missing, "not in gradcheck/chinese.py"
    assert not CHINESE.keys() - used.keys(), "in gradcheck/chinese.py, but nowhere in the code"


@pytest.mark.parametrize("sentence", CHINESE)
def test_a_translation_has_the_same_numbers_and_is_chinese(sentence):
    translation = CHINESE[sentence]
    assert placeholders(translation) == placeholders(sentence)
    plain = re.sub(r"\{[^}]*\}|<[^>]*>", "", translation)
    assert set(WORD.findall(plain)) <= CODE
    assert not re.search("[\u4e00-\u9fff][,;:!?]", plain), "punctuation of English"


def test_no_sentence_bypasses_say():
    """Words in an f-string, or given to a Finding, would stay English; errors that are raised may."""
    for path in FILES:
        if path.name == "scores.py" or path.parent.name == "cli":
            continue  # figures of the checker itself, for its authors; help texts
        tree = ast.parse(path.read_text(encoding="utf-8"))
        raised = {id(n) for r in ast.walk(tree) if isinstance(r, ast.Raise) for n in ast.walk(r)}
        for node in ast.walk(tree):
            parts = []
            if isinstance(node, ast.JoinedStr) and id(node) not in raised:
                parts = node.values
            elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Finding":
                parts = node.args[2:3]
            said = " ".join(str(part.value) for part in parts if isinstance(part, ast.Constant))
            assert not re.search(r"[a-z]+ [a-z]+ [a-z]+", said), f"{path.name}, line {node.lineno}"


def test_spaces_between_chinese_characters_go_and_others_stay(chinese):
    assert GAP.sub("", "轴 1 的 梯度 x （错）") == "轴 1 的梯度 x（错）"
    found = say("{indices} on {axis}", indices="索引 3", axis="行")
    assert found == "行的索引 3"


# ------------------------------------------------------------------------------- the setting


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", "en"),
        ("en", "en"),
        ("en_GB.UTF-8", "en"),
        ("zh", "zh"),
        ("ZH-cn", "zh"),
        (" zh ", "zh"),
    ],
)
def test_the_language_is_the_beginning_of_the_variable(monkeypatch, value, expected):
    monkeypatch.setenv("MINILLM_LANG", value)
    assert language() == expected


def test_an_unknown_language_gets_one_clear_sentence(monkeypatch, capsys):
    monkeypatch.setenv("MINILLM_LANG", "klingon")
    words = r"MINILLM_LANG must begin with 'en' \(English\) or 'zh' \(Chinese\), got 'klingon': set"
    x = np.ones(3)
    with pytest.raises(ValueError, match=words):
        check_gradients(ops.exp_forward, ops.exp_backward, x)
    with pytest.raises(ValueError, match=words):
        check_function(lambda t: t * t, Tensor(x))
    with pytest.raises(ValueError, match=words):
        check_model(Linear(3, 2), x[None])
    assert main(["gradcheck", "exp"]) != 0
    assert re.search(words, " ".join(capsys.readouterr().err.split()))


# -------------------------------------------------------------------- the five classic mistakes


def softmax_without_its_sum(grad_out, saved):
    p = np.exp(saved - saved.max(axis=-1, keepdims=True))
    return (grad_out * p / p.sum(axis=-1, keepdims=True),)


def softmax_forward(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True), x


def add_forward(x, bias):
    return x + bias, None


def lookup_forward(ids, weight):
    return weight[ids], (ids, weight)


def overwriting(grad_out, saved):
    ids, weight = saved
    grad = np.zeros_like(weight)
    grad[ids] = grad_out
    return None, grad


def product_forward(x, weight):
    return x @ weight, (x, weight)


CLASSICS = {
    "missing_sum_term": (
        softmax_forward, softmax_without_its_sum, [(3, 5)],
        "x 的梯度中，沿轴 1 求和的那一项（out * sum(grad_out * out)）缺失了："
        "每个元素影响输出的整行，而不只是它自己的位置",
    ),
    "missing_broadcast_sum": (
        add_forward, lambda g, saved: (g, g), [(3, 5), (5,)],
        "bias 的梯度的形状是 (3, 5)，而 bias 的形状是 (5,)：多处共用 bias，所以它的梯度是各处之和。"
        "请把现有结果沿轴 0 求和（并保持形状 (5,)）：那就是正确答案",
    ),
    "overwritten_duplicates": (
        lookup_forward, overwriting, [np.array([1, 4, 1]), (7, 3)],
        "weight 的梯度只在 ids 重复之处（1）是错的：使用多次的元素应当得到它所有梯度之和，"
        "现在却只留下其中一个。请累加（np.add.at 或 +=），不要赋值（=）",
    ),
    "ignores_upstream": (
        lambda x: (x * x, x), lambda g, x: (2 * x,), [(3, 5)],
        "grad_out 改变时 x 的梯度不变：backward 只返回了局部导数。请把它乘以 grad_out（链式法则）",
    ),
    "scaled": (
        product_forward, lambda g, s: (g @ s[1].T / 5**0.5, s[0].T @ g), [(3, 2), (2, 5)],
        "x 的梯度处处是应有值的 0.44721 倍：这是 1/sqrt(5)，而 weight 的轴 1 长度为 5："
        "除以 sqrt(5) 做了两次",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", CLASSICS)
def test_the_classic_mistakes_are_named_in_chinese(kind, chinese, rng):
    forward, backward, inputs, sentence = CLASSICS[kind]
    arrays = [rng.standard_normal(x) if isinstance(x, tuple) else x for x in inputs]
    finding = check_gradients(forward, backward, *arrays).findings[0]
    assert finding.kind == kind
    assert finding.message == sentence


# -------------------------------------------------------------------------------- all mutants


@pytest.fixture(scope="module")
def reports():
    """The report on every mutant, in Chinese, with the names that may stand in it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MINILLM_LANG", "zh")
        return [(mutant, report := reject(mutant), str(report)) for mutant in chosen()]


def chosen():
    """All mutants; of the recurrent networks, whose diagnosis is slow, one of each kind."""
    seen = set()
    for mutant in MUTANTS:
        pair = mutant.operation, mutant.kind
        if mutant.operation not in ("rnn", "gru", "lstm") or pair not in seen:
            yield mutant
        seen.add(pair)


def names_in(mutant, report):
    forward = mutant.forward or getattr(ops, f"{mutant.operation}_forward")
    documented = set(WORD.findall(getattr(ops, f"{mutant.operation}_forward").__doc__))
    rows = set(WORD.findall(" ".join(row.name for row in report.inputs)))
    letters = {word for word in documented if len(word) == 1}  # sizes: B, T, C …
    saved = re.search("Saves(.*)", getattr(ops, f"{mutant.operation}_forward").__doc__)
    return (
        set(inspect.signature(forward).parameters) | rows | letters | {mutant.operation}
        | set(WORD.findall(saved.group(1) if saved else ""))
    )  # fmt: skip


def test_no_english_word_is_left_in_what_is_said_about_a_mutant(reports):
    assert {report.findings[0].kind for _, report, _ in reports} >= set(KINDS) - {"unknown"}
    for mutant, report, _ in reports:
        for finding in report.findings:
            if finding.message.startswith("backward 引发了 "):
                continue  # and then the words of Python or NumPy
            words = set(WORD.findall(finding.message)) - CODE - names_in(mutant, report)
            assert not words, f"{finding.kind}: {finding.message}"
            assert re.search("[\u4e00-\u9fff]", finding.message), finding.message


def test_chinese_reports_fit_the_terminal_and_break_where_a_line_may_end(reports):
    for _, _, text in reports:
        for line in text.splitlines():
            assert columns_of(line) <= 88, line
            assert not line.strip().startswith(tuple("，。：；、）")), text


def test_the_columns_of_a_chinese_table_stand_under_each_other(reports):
    tables = 0
    for _, report, text in reports:
        lines = text.splitlines()
        heads = [i for i, line in enumerate(lines) if line.startswith("  输入 ")]
        if not heads or any(len(row.name) > 18 for row in report.inputs):
            continue
        head, row = lines[heads[0]], lines[heads[0] + 1]
        starts = [columns_of(head[: match.start()]) for match in re.finditer(r"(?<= )\S", head)]
        tables += 1
        for start in starts:  # two spaces before every column, whatever its characters
            before = [i for i in range(len(row)) if columns_of(row[:i]) == start]
            assert before, f"{head}\n{row}"
            assert row[: before[0]].endswith("  "), f"{head}\n{row}"
    assert tables > 300


def test_json_has_the_same_keys_kinds_and_numbers_in_both_languages(monkeypatch):
    found = []
    for value in ("en", "zh"):
        monkeypatch.setenv("MINILLM_LANG", value)
        found.append([reject(mutant).to_dict() for mutant in MUTANTS[::40]])
    for english, chinese in zip(*found, strict=True):
        assert english.keys() == chinese.keys()
        assert english["relative_error"] == chinese["relative_error"]
        for one, other in zip(english["findings"], chinese["findings"], strict=True):
            same = one.keys() - {"message", "verdict"}
            assert {key: one[key] for key in same} == {key: other[key] for key in same}
            assert one["message"] != other["message"]


def test_the_notebook_report_is_chinese(chinese, rng):
    forward, backward, *_ = CLASSICS["missing_sum_term"]
    x = rng.standard_normal((3, 5))
    right = check_gradients(ops.softmax_forward, ops.softmax_backward, x)
    for report in (check_gradients(forward, backward, x), right):
        source = report._repr_html_()
        texts = [*re.findall(">([^<]+)<", source), *re.findall("(?:title|label)='([^']*)'", source)]
        for text in map(html.unescape, texts):
            plain = text.replace("missing_sum_term", "").replace("minillm/ops/softmax.py", "")
            assert set(WORD.findall(plain)) <= CODE, text
    assert "softmax</b>：1 个输入的 15 个元素，最大相对误差" in source


# --------------------------------------------------------------------------- models and commands


def tanh_forward(x):
    out = np.tanh(x)
    return out, (out,)


class Tanh(Module):
    """A tanh whose backward forgets the square."""

    apply = staticmethod(
        differentiable(tanh_forward, lambda grad_out, saved: (grad_out * (1 - saved[0]),))
    )

    def forward(self, x):
        return self.apply(x)


def test_a_model_is_searched_and_explained_in_chinese(chinese, rng):
    model = Sequential(Linear(3, 4, rng=rng), Tanh(), Linear(4, 2, rng=rng))
    report = check_model(model, rng.standard_normal((5, 3)))
    assert report.where == "Sequential.1 中的 tanh，第 2 次调用（共 3 次）"
    assert report.findings[0].message == (
        "Sequential.1 调用的运算 'tanh'（第 2 次调用，共 3 次）："
        "x 的梯度算成了 grad_out * (1 - out)，应当是 grad_out * (1 - tanh(x)^2)"
    )
    assert report.notes == [
        "因此而错：4 个参数中 2 个的梯度（0.weight, 0.bias）", "模型共调用了 3 次运算",
    ]  # fmt: skip


def test_a_right_model_passes_in_chinese(chinese, rng):
    report = check_model(Linear(3, 2, rng=rng), rng.standard_normal((5, 3)))
    assert str(report).startswith("Linear：通过。2 个输入的 8 个元素，最大相对误差 ")


def test_the_command_line_answers_in_chinese(chinese, capsys):
    assert main(["gradcheck", "softmax", "layer_norm"]) == 0
    head, *rows, last = capsys.readouterr().out.splitlines()
    assert head.split() == ["运算", "组数", "最大误差", "结论"]
    ends = [columns_of(line[: line.index(word)]) for line, word in zip(
        [head, *rows], ["结论", "一致", "一致"], strict=True)]  # fmt: skip
    assert len(set(ends)) == 1
    assert last.endswith("秒检验了 2 个运算：2 个正确，2 个的误差低于 1e-8")
