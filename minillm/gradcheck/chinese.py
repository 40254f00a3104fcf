"""The Chinese sentences of the checker, each under its English one (language.py).

A test holds both to each other: every sentence of the code is here, nothing else is, and both forms
have the same names in braces.  Spaces stand around every name; say() takes those out that come to
stand between two Chinese characters.
"""

CHINESE = {
    # calls.py, localise.py, models.py: models
    "no operation of the library makes the difference: it comes from outside of them": (
        "差异不是本库的任何运算造成的：它来自这些运算之外"
    ),
    (
        "it was computed outside of the graph: with NumPy on .data, by .item() or float(), or "
        "it is a constant that .detach() or no_grad() made"
    ): (
        "它是在计算图之外算出来的：用 NumPy 处理了 .data，用了 .item() 或 float()，或者它是 "
        ".detach() 或 no_grad() 造成的常数"
    ),
    "{name} in {caller}, call {number} of {all}": (
        "{caller} 中的 {name}，第 {number} 次调用（共 {all} 次）"
    ),
    "operation {name!r} called by {caller} (call {number} of {all})": (
        "{caller} 调用的运算 {name!r}（第 {number} 次调用，共 {all} 次）"
    ),
    "call {number} is {one!r} the first time and {two!r} the second": (
        "第 {number} 次调用在第一遍是 {one!r}，在第二遍却是 {two!r}"
    ),
    "the first difference is the output of {call}, with equal inputs": (
        "最早的差异是 {call} 的输出，而它的输入相同"
    ),
    "the first difference is the input {name} of {call}": "最早的差异是 {call} 的输入 {name}",
    "the first difference is the option {name} of {call}": "最早的差异是 {call} 的选项 {name}",
    "it is the array of the parameter {name}: use the parameter, not its .data": (
        "它就是参数 {name} 的数组：请使用参数本身，而不是它的 .data"
    ),
    "it is the output of {call}, cut off by .detach(), .data, .numpy() or no_grad()": (
        "它是 {call} 的输出，被 .detach()、.data、.numpy() 或 no_grad() 切断了"
    ),
    "options get no gradient: make it an input of forward": (
        "选项得不到梯度：请把它改为 forward 的输入"
    ),
    " (seen on its inputs cut down to {shapes})": "（输入缩减为 {shapes} 时所见）",
    "{where}: {message}": "{where}：{message}",
    (
        "along a random direction of {name}, backward gives the slope {analytic:.6g} and the "
        "numerical one is {numeric:.6g}"
    ): ("沿 {name} 的一个随机方向，backward 给出的斜率是 {analytic:.6g}，数值斜率是 {numeric:.6g}"),
    "backward overwrote an array that others still need": "backward 改写了别处还要用的数组",
    "backward must return a tuple with one gradient for each input": (
        "backward 必须返回一个元组，其中每个输入对应一个梯度"
    ),
    "a gradient must have the shape and dtype of its input": (
        "梯度的形状和数据类型必须与它的输入相同"
    ),
    (
        "the gradient of {name} is another one when backward is called with needs={needs}, as "
        "the engine does here, than without needs"
    ): (
        "用 needs={needs} 调用 backward（引擎在这里就是这样做的）得到的 {name} 的梯度，与不带 "
        "needs 时不同"
    ),
    "{who} overwrote the parameter {name}: every run then sees other numbers; work on a copy": (
        "{who} 改写了参数 {name}：这样每次运行看到的数都不同；请在副本上操作"
    ),
    "{who} overwrote the input {name}: every run then sees other numbers; work on a copy": (
        "{who} 改写了输入 {name}：这样每次运行看到的数都不同；请在副本上操作"
    ),
    "{who} overwrote the argument {name}: every run then sees other numbers; work on a copy": (
        "{who} 改写了关键字参数 {name}：这样每次运行看到的数都不同；请在副本上操作"
    ),
    "the gradient of all parameters together is wrong along a random direction": (
        "沿一个随机方向，全部参数合起来的梯度是错的"
    ),
    "the model called {count} operations": "模型共调用了 {count} 次运算",
    "{name}: padding_idx takes the gradient of row {rows}, which is left out": (
        "{name}：padding_idx 去掉了第 {rows} 行的梯度，这些行不参加检验"
    ),
    (
        "two runs of the model with the same parameters and inputs give different outputs, so "
        "its gradient cannot be checked: {difference}. Either it keeps something from run to "
        "run, or it draws random numbers from a generator that cannot be put back: make it a "
        "numpy.random.Generator that is an attribute of the module, or call model.eval()"
    ): (
        "用同样的参数和输入运行模型两次，输出却不同，所以无法检验它的梯度：{difference}。它要么"
        "在两次运行之间保留了某些东西，要么从无法复位的生成器中抽取随机数：请把 "
        "numpy.random.Generator 设为模块的属性，或者调用 model.eval()"
    ),
    "the gradient of the parameter {name} is wrong": "参数 {name} 的梯度是错的",
    "the gradient of the parameter {name} holds NaN or Inf": "参数 {name} 的梯度中有 NaN 或 Inf",
    "the gradient of the parameter {name} is zero, although the output depends on it": (
        "参数 {name} 的梯度是零，但输出依赖于它"
    ),
    "the gradient of the parameter {name} is {factor:.6g} times what it should be": (
        "参数 {name} 的梯度是应有值的 {factor:.6g} 倍"
    ),
    "every operation agrees with its own forward, and no value was seen to leave the graph": (
        "每个运算都与自己的 forward 一致，也没有发现任何值离开计算图"
    ),
    "output {number} of the model": "模型的输出 {number}",
    "the input {name} of {call}": "{call} 的输入 {name}",
    "{what} changes with the parameters but is not connected to them: {origin}": (
        "{what} 随参数变化，却没有与参数相连：{origin}"
    ),
    (
        "{count} parameters hold one number everywhere and were moved a little for the check "
        "({names}): a 1 or a 0 hides mistakes"
    ): (
        "有 {count} 个参数的所有元素都是同一个数，检验时稍微移动了它们（{names}）：1 和 0 会掩"
        "盖错误"
    ),
    "{name}: {count} entries skipped, the first at {place}: {reason}": (
        "{name}：跳过了 {count} 个元素，第一个在 {place}：{reason}"
    ),
    "along directions only": "只沿方向检验",
    "wrong because of this: the gradients of {count} of {all} parameters ({names})": (
        "因此而错：{all} 个参数中 {count} 个的梯度（{names}）"
    ),
    "no gradient arrives at {names}": "没有梯度到达 {names}",
    "the backward pass of the model raised {type}: {error}": (
        "模型的反向计算引发了 {type}：{error}"
    ),
    (
        "a large model: all parameters together were checked along {directions} random "
        "directions, and single entries of {count} of them"
    ): ("模型很大：全部参数合起来沿 {directions} 个随机方向检验，其中 {count} 个还检验了单个元素"),
    "{failing} of the {calls} calls of {name!r} disagree": (
        "{name!r} 的 {calls} 次调用中有 {failing} 次不一致"
    ),
    # check.py, comparison.py and others: one pair of forward and backward
    (
        "the gradient of {name} does not change when grad_out changes: backward returns only "
        "the local derivative. Multiply it by grad_out (the chain rule)"
    ): (
        "grad_out 改变时 {name} 的梯度不变：backward 只返回了局部导数。请把它乘以 grad_out（链"
        "式法则）"
    ),
    (
        "with grad_out = 0 the gradient of {name} must be 0, but is up to {largest:.4g}: a "
        "part of it is not multiplied by grad_out"
    ): (
        "grad_out = 0 时 {name} 的梯度必须是 0，但最大达到 {largest:.4g}：其中有一部分没有乘以 "
        "grad_out"
    ),
    (
        "backward must be linear in grad_out, but {c:g} times grad_out makes the gradient of "
        "{name} {ratio:.4g} times as large: grad_out is squared, clipped, or only its sign is "
        "used"
    ): (
        "backward 对 grad_out 必须是线性的，但 grad_out 变为 {c:g} 倍时 {name} 的梯度的大小变"
        "为 {ratio:.4g} 倍：grad_out 被平方、被截断，或者只用了它的符号"
    ),
    "backward must return a tuple of {count} gradients, one for each of ({names}), got {found}": (
        "backward 必须返回由 {count} 个梯度组成的元组，({names}) 各一个，实际得到的是 {found}"
    ),
    "{count} gradients": "{count} 个梯度",
    (
        "forward gives another result when it is called again with the same inputs: it draws "
        "random numbers of its own, or keeps something from call to call. Give it a "
        "np.random.Generator as an option"
    ): (
        "用同样的输入再次调用 forward，结果却不同：它自己抽取随机数，或者在两次调用之间保留了某"
        "些东西。请把 np.random.Generator 作为选项传给它"
    ),
    (
        "backward gives another result when it is called again with the same arguments: it "
        "draws random numbers, or keeps something from call to call"
    ): (
        "用同样的参数再次调用 backward，结果却不同：它抽取随机数，或者在两次调用之间保留了某些东西"
    ),
    "backward raised {type}: {error}": "backward 引发了 {type}：{error}",
    "backward returned something that is not an array of numbers: {error}": (
        "backward 返回的东西不是由数组成的数组：{error}"
    ),
    "{type} of {dtype}": "{type}，类型为 {dtype}",
    "{name}: every gradient is zero, so this input was not really tested (vacuous check)": (
        "{name}：所有梯度都是零，所以这个输入并没有真正受到检验（空洞的检验）"
    ),
    "not compared": "没有比较",
    "no entry of {name} could be compared: {reason}": "{name} 的元素都无法比较：{reason}",
    "wrong shape or dtype": "形状或数据类型不对",
    "no entries": "没有元素",
    (
        "{who} overwrote {what}, which others still need: work on a copy, or on a buffer that "
        "was allocated in the same function"
    ): ("{who} 改写了 {what}，而别处还要用它：请在副本上，或者在同一函数中新分配的数组上操作"),
    (
        "forward gives NaN or Inf for these inputs (output {number} at {place}): there is no "
        "gradient to check; choose inputs inside the domain of the function"
    ): (
        "forward 对这些输入给出 NaN 或 Inf（输出 {number} 的 {place} 处）：没有梯度可以检验；请"
        "选取函数定义域内的输入"
    ),
    "{name} is data: it gets no gradient": "{name} 是数据：没有梯度",
    "{name} is not floating: its gradient should be None": (
        "{name} 不是浮点数：它的梯度应当是 None"
    ),
    (
        "{name} with {option}=True is a straight-through estimator: its backward is not the "
        "derivative of its forward, on purpose, so they cannot agree: check with {option}=False"
    ): (
        "带 {option}=True 的 {name} 是直通估计：它的 backward 有意不是 forward 的导数，所以两者"
        "不可能一致：请用 {option}=False 检验"
    ),
    (
        "{name} has {size} entries: random directions were checked in all of them, and the "
        "entries that matter one by one"
    ): ("{name} 有 {size} 个元素：对全部元素检验了随机方向，对重要的元素逐个检验"),
    "the function has a kink or a jump there": "函数在那里有折点或跳跃",
    "the function is not finite around it": "函数在它附近不是有限的",
    # diagnosis: the general findings
    "the gradient of {name} is wrong, and no pattern was found": (
        "{name} 的梯度是错的，而且没有找到规律"
    ),
    "backward returned None for {name}, but the output depends on it": (
        "backward 对 {name} 返回了 None，但输出依赖于它"
    ),
    "the shape of the gradient of {name} differs from call to call": (
        "{name} 的梯度的形状每次调用都不一样"
    ),
    "the gradient of {name} is {found}, but {name} is {dtype}": (
        "{name} 的梯度是 {found}，而 {name} 是 {dtype}"
    ),
    "{count} of {size} entries of the gradient of {name} are NaN or Inf": (
        "{name} 的梯度的 {size} 个元素中有 {count} 个是 NaN 或 Inf"
    ),
    "the gradient of {name}": "{name} 的梯度",
    ": ": "：",
    " and ": " 和 ",
    " or ": " 或 ",
    " to ": " 至 ",
    # diagnosis/edges.py
    "in the gradient of {name} the way through {place} is not followed": (
        "{name} 的梯度没有计入经过“{place}”的路径"
    ),
    "in the gradient of {name} the way through {place} has the wrong sign": (
        "{name} 的梯度中，经过“{place}”的路径符号错了"
    ),
    "in the gradient of {name} the way through {place} is counted twice": (
        "{name} 的梯度把经过“{place}”的路径计算了两次"
    ),
    (
        "in the gradient of {name} only the first of {steps} time steps counts: their "
        "contributions must be added up"
    ): ("{name} 的梯度只计入了 {steps} 个时间步中的第一个：各时间步的贡献必须相加"),
    (
        "in the gradient of {name} only the last of {steps} time steps counts: their "
        "contributions must be added up"
    ): ("{name} 的梯度只计入了 {steps} 个时间步中的最后一个：各时间步的贡献必须相加"),
    "the row sum of the softmax": "softmax 的行和",
    "the probabilities": "概率",
    "the state on its way to the next step": "传往下一步的状态",
    "the state in the product with weight_h": "与 weight_h 相乘的状态",
    "the reset gate r": "重置门 r",
    "the update gate z": "更新门 z",
    "the recurrent part of the new state": "新状态的循环部分",
    "the new state n": "新状态 n",
    "the state that z lets through": "z 放行的旧状态",
    "the state h on its way to the next step": "传往下一步的状态 h",
    "the input gate i": "输入门 i",
    "the forget gate f": "遗忘门 f",
    "the new cell content g": "单元的新内容 g",
    "the output gate o": "输出门 o",
    "the cell c on its way to the next step": "传往下一步的单元状态 c",
    "the cell c on its way to h": "通往 h 的单元状态 c",
    # diagnosis/fallback.py
    (
        "the gradient of {name} is that of the first of {size} steps along axis {axis} of the "
        "output alone: every step uses {name}, so their gradients must be added up (+=, not =)"
    ): (
        "{name} 的梯度只是沿输出的轴 {axis} 的 {size} 步中第一步的梯度：每一步都用到 {name}，所"
        "以各步的梯度必须相加（用 +=，不用 =）"
    ),
    (
        "the gradient of {name} is that of the last of {size} steps along axis {axis} of the "
        "output alone: every step uses {name}, so their gradients must be added up (+=, not =)"
    ): (
        "{name} 的梯度只是沿输出的轴 {axis} 的 {size} 步中最后一步的梯度：每一步都用到 {name}，"
        "所以各步的梯度必须相加（用 +=，不用 =）"
    ),
    "; {count} of its {size} entries are right": "；它的 {size} 个元素中有 {count} 个是对的",
    "{count} of {size} entries of the gradient of {name} are wrong, the others right: {where}": (
        "{name} 的梯度的 {size} 个元素中有 {count} 个是错的，其余是对的：{where}"
    ),
    (
        "the gradient of {name} is wrong and that of {others} is zero: one way back, on which "
        "both lie, is cut"
    ): ("{name} 的梯度是错的，{others} 的梯度是零：它们共同的那条回传路径被切断了"),
    " (wrong at {where})": "（错在 {where}）",
    (
        "the gradient of {name} misses {lost} of the {ways} ways in which its entries act on "
        "the output: one of the paths back to {name} is not followed"
    ): (
        "{name} 的元素通过 {ways} 条途径影响输出，它的梯度漏掉了其中 {lost} 条：有一条回到 "
        "{name} 的路径没有计入"
    ),
    (
        "{extra} pairs of an entry of {name} and an output are connected in backward, but not "
        "in forward, where a mask keeps them apart: the mask is missing in backward"
    ): (
        "有 {extra} 对 {name} 的元素和输出在 backward 中相连，在 forward 中却被掩码隔开："
        "backward 缺少掩码"
    ),
    (
        "{wrong} of the {ways} ways in which the entries of {name} act on the output count "
        "wrongly, the others rightly: a term that acts there is missing, or has a wrong factor"
    ): (
        "{name} 的元素通过 {ways} 条途径影响输出，其中 {wrong} 条算错了，其余是对的：在那里起作"
        "用的一项缺失了，或者因子错了"
    ),
    (
        "every entry of the gradient of {name} depends on the right entries of grad_out, but "
        "with wrong weights: a factor of the formula is missing, or another array stands in "
        "its place"
    ): (
        "{name} 的梯度的每个元素都依赖于 grad_out 的正确元素，但权重错了：公式缺少一个因子，或"
        "者它的位置上是别的数组"
    ),
    # diagnosis/operands.py
    "the gradient of {name} is computed as {used}": "{name} 的梯度算成了 {used}",
    (
        "every entry of the gradient of {name} depends on the right entry of grad_out, but "
        "with the wrong derivative: a factor is missing, or another array stands in its place"
    ): (
        "{name} 的梯度的每个元素都依赖于 grad_out 的正确元素，但导数错了：缺少一个因子，或者它"
        "的位置上是别的数组"
    ),
    (
        "the gradient of {name} is ({ratio}) times what it should be: that factor is in it "
        "once too often, or is not divided out"
    ): ("{name} 的梯度是应有值的 ({ratio}) 倍：这个因子多乘了一次，或者没有除掉"),
    "the gradient of {name} has the term {term} with the wrong sign": (
        "{name} 的梯度中 {term} 这一项的符号错了"
    ),
    (
        "the gradient of {name} lacks the term {term}: the output depends on {name} in more "
        "than one way, and one of them is not followed (a term of the product rule, or of a "
        "sum)"
    ): (
        "{name} 的梯度缺少一项：{term}。输出以不止一种方式依赖于 {name}，其中一种没有计入（乘法"
        "法则或求和中的一项）"
    ),
    ", which is ({ratio}) times what it should be": "，这是应有值的 ({ratio}) 倍",
    ", it should be {right}": "，应当是 {right}",
    "at the entries that {ids} points to ({where})": "在 {ids} 所指的元素处（{where}）",
    "of the product rule (out = {name} * h({name}) has two)": (
        "乘法法则有两项（out = {name} * h({name})），这里只有一项"
    ),
    (
        "{what} is multiplied by {factor} too much: an array factor on the way to {name} is "
        "missing, or another one stands in its place"
    ): ("{what} 多乘了 {factor}：通往 {name} 的路上缺少一个数组因子，或者它的位置上是别的数组"),
    "a number of its own at each entry": "一个因元素而异的数",
    (
        "the entries of the gradient of {name} at {where} are {factor:.6g} times what they "
        "should be; the others are right"
    ): ("{name} 的梯度在 {where} 的元素是应有值的 {factor:.6g} 倍；其余是对的"),
    (
        "what arrives at {count} entries of the output counts {factor:.4g} times in the "
        "gradient of {name}; what arrives at the others is right"
    ): (
        "到达输出的 {count} 个元素的梯度在 {name} 的梯度中计了 {factor:.4g} 倍；到达其余元素的"
        "是对的"
    ),
    ": the mask is forgotten in backward": "：backward 忘了掩码",
    ": that is the wrong product": "：这个乘积是错的",
    "something else": "别的式子",
    # diagnosis/places.py
    (
        "the gradient that arrives through output {number} is not passed on to {name}: "
        "grad_out[{number}] must be added in"
    ): ("经由输出 {number} 到达的梯度没有传给 {name}：必须加上 grad_out[{number}] 的贡献"),
    (
        "the gradient that arrives through output {number} is not passed on to {name} (and the "
        "rest is wrong too): grad_out[{number}] must be added in"
    ): (
        "经由输出 {number} 到达的梯度没有传给 {name}（其余部分也是错的）：必须加上 "
        "grad_out[{number}] 的贡献"
    ),
    ": the mask or condition of forward is turned round or another one": (
        "：forward 的掩码或条件被取反了，或者换成了别的"
    ),
    ": the mask or condition of forward is missing": "：缺少 forward 的掩码或条件",
    ": the mask or condition of forward is applied too widely": "：forward 的掩码或条件用得太宽",
    (
        "every entry of the gradient of {name} is the sum of the right gradient over axis "
        "{axis}: backward sums over that axis, but its entries are not shared"
    ): (
        "{name} 的梯度的每个元素都是正确梯度沿轴 {axis} 的和：backward 沿这个轴求和，但它的元素"
        "并不共享"
    ),
    (
        "every entry of the gradient of {name} is the mean of the right gradient over axis "
        "{axis}: backward sums over that axis, but its entries are not shared"
    ): (
        "{name} 的梯度的每个元素都是正确梯度沿轴 {axis} 的均值：backward 沿这个轴求和，但它的元"
        "素并不共享"
    ),
    "the gradient of {name} is wrong only at {where}": "{name} 的梯度只在 {where} 是错的",
    (
        "the gradient of {name} is wrong only at {where}: entries that are used {counts} times "
        "are {low:.4g} to {high:.4g} times what they should be. Repeated uses must be added "
        "up, not averaged or weighted"
    ): (
        "{name} 的梯度只在 {where} 是错的：用了 {counts} 次的元素是应有值的 {low:.4g} 至 "
        "{high:.4g} 倍。多次使用的梯度必须相加，而不是取平均或加权"
    ),
    "the gradient of {name} is wrong only where {ids} repeats ({values})": (
        "{name} 的梯度只在 {ids} 重复之处（{values}）是错的"
    ),
    (
        ": an entry that is used several times must get the sum of all its gradients, but "
        "keeps only one of them. Add up (np.add.at, or +=) instead of assigning (=)"
    ): (
        "：使用多次的元素应当得到它所有梯度之和，现在却只留下其中一个。请累加（np.add.at 或 +="
        "），不要赋值（=）"
    ),
    "place {index}": "位置 {index}",
    (
        "only {place} of {axes} of {out} counts in the gradient of {name}: {name} is shared by "
        "{count} places there, so its gradient is the sum over all of them"
    ): (
        "{name} 的梯度只计入了 {out} {axes} 上的 {place}：那里有 {count} 处共用 {name}，所以它"
        "的梯度是这些地方之和"
    ),
    (
        "only what arrives at {kept} of axis {axis} of {out} is passed on to {name}, but "
        "{name} acts on the output at other places too: their gradient must be added in"
    ): (
        "只有到达 {out} 轴 {axis} 上 {kept} 的梯度传给了 {name}，但 {name} 也影响其他地方的输出"
        "：那里的梯度也必须加上"
    ),
    "its own index": "同一索引",
    "{count} steps away": "相距不超过 {count} 步处",
    (
        "along {axis} of {name} an entry of {name} gets only the gradient that arrives at "
        "{steps}, but it acts on the output up to {reach} steps away: the gradient that flows "
        "on along this axis is dropped"
    ): (
        "沿 {name} 的 {axis}，{name} 的元素只得到到达 {steps} 的梯度，但它影响的输出最远相距 "
        "{reach} 步：沿这个轴继续流动的梯度丢失了"
    ),
    "the gradient of {name} holds the right numbers in the wrong places: {movement}": (
        "{name} 的梯度中数是对的，位置却错了：{movement}"
    ),
    (
        "the gradient of {name} is right but for the order of grad_out: {moved} of its entries "
        "are sent back to the place of another one (sorted, shifted, reshaped or reversed on "
        "the way)"
    ): (
        "{name} 的梯度除了 grad_out 的次序之外都是对的：其中 {moved} 个元素被送回到别的元素的位"
        "置（途中经过了排序、移位、变形或反转）"
    ),
    (
        "the gradient of {name} is what forward itself would make of grad_out; backward must "
        "use the transpose of that map (a rotation turned back, a matrix transposed)"
    ): (
        "{name} 的梯度恰好是 forward 作用于 grad_out 的结果；backward 必须用这个映射的转置（反"
        "向旋转，矩阵转置）"
    ),
    (
        "of the {ways} ways in which the entries of {name} act on the output, {count} count "
        "with the wrong sign: one of the terms has the wrong sign"
    ): ("{name} 的元素通过 {ways} 条途径影响输出，其中 {count} 条的符号错了：有一项的符号错了"),
    "; the others are {factor:.4g} times too large": "；其余是应有值的 {factor:.4g} 倍",
    "; the others are right": "；其余是对的",
    (
        "each entry of the gradient of {name} depends on grad_out along axis {axes}, but "
        "forward mixes entries {mixing}: a sum or mean in backward runs over the wrong axis, "
        "or over too many"
    ): (
        "{name} 的梯度的每个元素沿轴 {axes} 依赖于 grad_out，但 forward {mixing} 混合元素："
        "backward 中的求和或取均值用错了轴，或者用了过多的轴"
    ),
    "less": "较少",
    "along axis {axis}": "沿轴 {axis}",
    "along no axis": "不沿任何轴",
    "the output": "输出",
    "output {number}": "输出 {number}",
    (
        "what arrives at {count} of the {total} entries of the outputs is not passed on to "
        "{name}, though {name} acts on them; the rest is right"
    ): (
        "到达输出的 {total} 个元素中 {count} 个的梯度没有传给 {name}，尽管 {name} 影响它们；其"
        "余是对的"
    ),
    "in the gradient of {name} {parts}": "{name} 的梯度中，{parts}",
    "{count} entries get a gradient and should get none ({where})": (
        "{count} 个元素得到了不该有的梯度（{where}）"
    ),
    "{count} entries get none and should get one ({where})": (
        "{count} 个元素没有得到应有的梯度（{where}）"
    ),
    "{count} entries are misplaced; {here} holds what belongs to {there}": (
        "{count} 个元素放错了位置；{here} 处放的是属于 {there} 的数"
    ),
    "reversed along axis {axis}": "沿轴 {axis} 颠倒了",
    "shifted by {steps} along axis {axis}": "沿轴 {axis} 移动了 {steps} 格",
    (
        "the gradient of {name} is the same all along axis {wrong}, but should be the same "
        "along axis {right}: grad_out is spread along the wrong axis"
    ): (
        "{name} 的梯度沿轴 {wrong} 处处相同，但应当沿轴 {right} 处处相同：grad_out 沿错误的轴展开了"
    ),
    "the gradient of {name} has the wrong sign at {where}; the rest is right": (
        "{name} 的梯度在 {where} 符号错了；其余是对的"
    ),
    (
        "the gradient of {name} is the same all along axis {axis}, but its entries act on "
        "different outputs: a sum in backward runs over more entries of grad_out than it should"
    ): (
        "{name} 的梯度沿轴 {axis} 处处相同，但它的元素影响不同的输出：backward 中的求和包括了过"
        "多的 grad_out 元素"
    ),
    "the gradient of {name} is transposed: axes {axes} stand where {right} belong": (
        "{name} 的梯度被转置了：本该是轴 {right} 的地方是轴 {axes}"
    ),
    ", with a minus": "，并且多了一个负号",
    "the transpose of the gradient of {name} is right": "{name} 的梯度转置之后才是对的",
    # diagnosis/proportions.py
    "the gradient of {name} is {words}": "{name} 的梯度 {words}",
    "the part of the gradient of {name} that arrives through output {number} is {words}": (
        "{name} 的梯度中经由输出 {number} 到达的部分 {words}"
    ),
    "{factor:.5g} times what it should be, everywhere": "处处是应有值的 {factor:.5g} 倍",
    "{factor:.5g} times too large, everywhere": "处处是应有值的 {factor:.5g} 倍",
    " (and has the wrong sign)": "（而且符号相反）",
    "that is {value}, and {where}": "这是 {value}，而 {where}",
    "that is {value}": "这是 {value}",
    ": the division by {value} is missing": "：没有除以 {value}",
    ": the division by {value} is missing twice": "：少除了两次 {value}",
    ": the division by {value} is done twice": "：除以 {value} 做了两次",
    ": divided by {value} once too often (a mean, not a sum)": (
        "：多除了一次 {value}（取了均值，而不是求和）"
    ),
    ": divided by both once too often (a mean, not a sum)": (
        "：两者都多除了一次（取了均值，而不是求和）"
    ),
    ": divided by {used} instead of {right}": "：除以了 {used}，而不是 {right}",
    ": the factor {value} is missing": "：缺少因子 {value}",
    ": the mean is taken over the wrong axis": "：取均值的轴错了",
    "a constant {value} too many": "多了常数 {value}",
    "a constant {value} is missing": "缺少常数 {value}",
    "{value} squared": "{value} 的平方",
    "axis {axis} of {name} has size {size}": "{name} 的轴 {axis} 长度为 {size}",
    "{name} has {size} entries": "{name} 有 {size} 个元素",
    "{size} entries of {name} count": "{name} 有 {size} 个元素计入",
    (
        "the gradient of {name} has the wrong sign everywhere: a minus is missing, or there is "
        "one too many"
    ): ("{name} 的梯度处处符号相反：少了一个负号，或者多了一个"),
    (
        "the gradient of {name} is zero everywhere, but the output depends on {name}: the way "
        "back to it is cut (forgotten, detached, or overwritten by zeros)"
    ): (
        "{name} 的梯度处处是零，但输出依赖于 {name}：回到它的路径被切断了（忘记、分离，或者被零"
        "覆盖）"
    ),
    (
        "what backward returns for {other} is the gradient of {name}: the gradients must come "
        "in the order of the arguments ({names})"
    ): ("backward 为 {other} 返回的是 {name} 的梯度：梯度必须按照参数的顺序返回（{names}）"),
    # diagnosis/shapes.py
    "the gradient of {name} has shape {got}, but {name} has {shape}": (
        "{name} 的梯度的形状是 {got}，而 {name} 的形状是 {shape}"
    ),
    ": where it was broadcast, its gradient must be summed over the added axes": (
        "：它被广播之处，梯度必须沿新增的轴求和"
    ),
    (
        ": all entries together have the right sum, so it was summed over the wrong axes; keep "
        "the axes of the input and sum over the others"
    ): ("：所有元素的总和是对的，说明求和用错了轴；请保留输入的轴，沿其余的轴求和"),
    ": the numbers are right, only the shape is not: reshape it": (
        "：数是对的，只是形状不对：请用 reshape 改变形状"
    ),
    (
        ": several places share {name}, so its gradient is the sum over all of them. Sum what "
        "you have over {axes} (and keep the shape {shape}): that is the right answer"
    ): (
        "：多处共用 {name}，所以它的梯度是各处之和。请把现有结果沿 {axes} 求和（并保持形状 "
        "{shape}）：那就是正确答案"
    ),
    (
        ": {count} indices of axis {axis} share one of {name}; add up the gradients of each "
        "group: that is the right answer"
    ): ("：轴 {axis} 上每 {count} 个索引共用 {name} 的一个；请把每组的梯度相加：那就是正确答案"),
    ": its transpose is the right answer": "：它的转置就是正确答案",
    "axes {axes}": "轴 {axes}",
    # diagnosis/terms.py
    (
        "in the gradient of {name} the term with the sum over axis {axis}{formula} {how}: "
        "every entry acts on its whole row of the output, not only on its own place"
    ): (
        "{name} 的梯度中，沿轴 {axis} 求和的那一项 {formula} {how}：每个元素影响输出的整行，而"
        "不只是它自己的位置"
    ),
    (
        "in the gradient of {name} the term with the mean over axis {axis}{formula} {how}: "
        "every entry acts on its whole row of the output, not only on its own place"
    ): (
        "{name} 的梯度中，沿轴 {axis} 取均值的那一项 {formula} {how}：每个元素影响输出的整行，"
        "而不只是它自己的位置"
    ),
    ", {formula},": "（{formula}）",
    "is missing": "缺失了",
    "is missing (the others are there)": "缺失了（其余各项都在）",
    "is missing, counted twice, or has the wrong sign": "缺失了、算了两次，或者符号错了",
    "is there, but should not be": "不该出现却出现了",
    "has the wrong sign": "符号错了",
    "is counted {factor:.4g} times": "计了 {factor:.4g} 倍",
    "is counted with a wrong factor": "因子错了",
    "({name} - its mean)": "({name} - mean({name}))",
    (
        "what is wrong with the gradient of {name} is one number for each of its rows, times a "
        "vector that does not depend on grad_out: a term with a sum over the row is missing, "
        "or has the wrong sign, on the way (the row sum of a softmax, if there is one)"
    ): (
        "{name} 的梯度的误差在每一行都是一个数乘以一个与 grad_out 无关的向量：途中有一项沿行求"
        "和的项缺失了，或者符号错了（如果有 softmax，就是它的行和）"
    ),
    # diagnosis/variants.py
    "the gradient of {name} comes out as if {words}": "{name} 的梯度相当于 {words}",
    "only the first index of axis {axis} of {part} counted": (
        "只计入了 {part} 的轴 {axis} 上的第一个索引"
    ),
    "only the last index of axis {axis} of {part} counted": (
        "只计入了 {part} 的轴 {axis} 上的最后一个索引"
    ),
    "{names} were reversed along axis {axis}": "把 {names} 沿轴 {axis} 颠倒了",
    "{names} were shifted by one along axis {axis}": "把 {names} 沿轴 {axis} 向后移了一格",
    "{names} were shifted back by one along axis {axis}": "把 {names} 沿轴 {axis} 向前移了一格",
    "{name} were 1: a factor is missing": "{name} 是 1：缺少一个因子",
    "{name} were 0: a term is missing": "{name} 是 0：缺少一项",
    "{name} had the other sign": "{name} 的符号相反",
    "{name} were divided by instead of multiplied": "除以了 {name}，而不是乘以它",
    "the option behind {name} were {value}": "{name} 对应的选项是 {value}",
    "the mask {name} were everywhere True": "掩码 {name} 处处为 True",
    "the mask {name} were turned round": "掩码 {name} 被取反了",
    "the mask {name} were not there": "没有掩码 {name}",
    "the mask {name} were everywhere on": "掩码 {name} 处处打开",
    "{name} were taken one step too late": "{name} 晚取了一步",
    "{name} were taken one step too early": "{name} 早取了一步",
    "{name} were transposed": "{name} 被转置了",
    "{name} were used without its transpose": "用了 {name} 本身，而不是它的转置",
    "{other} stood in the place of {name}": "{name} 的位置上是 {other}",
    # diagnosis/words.py
    "axis {axis}": "轴 {axis}",
    "axis {axis} ({letter})": "轴 {axis}（{letter}）",
    "index {index}": "索引 {index}",
    "indices {first} to {last}": "索引 {first} 至 {last}",
    "indices {some} and {last}": "索引 {some} 和 {last}",
    "indices {some}, …": "索引 {some}……",
    "{indices} on {axis}": "{axis} 的 {indices}",
    "the rows": "行",
    "the columns": "列",
    "everywhere": "处处",
    "nowhere": "无处",
    " and {count} more": " 等另外 {count} 个",
    "(the ids that occur more than once in {name})": "（在 {name} 中出现不止一次的编号）",
    "those with {condition}": "满足 {condition} 的元素",
    # report.py, report_text.py, report_html.py
    "input": "输入",
    "shape": "形状",
    "entries": "元素数",
    "worst error": "最大误差",
    "at": "位置",
    "backward": "backward",
    "numerical": "数值梯度",
    "ratio": "比值",
    "cosine": "余弦",
    "verdict": "结论",
    "{number} entry": "{number} 个元素",
    "{number} entries": "{number} 个元素",
    "{number} input": "{number} 个输入",
    "{number} inputs": "{number} 个输入",
    "agrees to rounding": "一致，只差舍入误差",
    "agrees": "一致",
    "doubtful": "可疑",
    ": acceptable only next to a kink": "：只有在折点旁才可以接受",
    "probably wrong": "很可能错了",
    "wrong": "错误",
    "not comparable": "无法比较",
    "{name}: passed. {entries} of {inputs}, worst relative error {error:.1e} ({words})": (
        "{name}：通过。{inputs} 的 {entries}，最大相对误差 {error:.1e}（{words}）"
    ),
    "{name}: FAILED at {input} ({kind})": "{name}：未通过，问题在 {input}（{kind}）",
    "{name}: passed, but there was no entry to compare": "{name}：通过，但没有可以比较的元素",
    "{name}: passed": "{name}：通过",
    "passed": "通过",
    "FAILED": "未通过",
    ".": "。",
    ":": "：",
    "{checked} of {size}": "{size} 中的 {checked}",
    "{name}: {count} of {entries} skipped, at {places}: {reason}": (
        "{name}：{entries} 中跳过了 {count} 个，位于 {places}：{reason}"
    ),
    "also wrong:": "还有错误：",
    "as above": "同上",
    "- {input} ({kind}): {message}": "- {input}（{kind}）：{message}",
    "note: {note}": "注：{note}",
    "notes:": "注：",
    "derivation: {source}": "推导：{source}",
    "backward: the value returned at that entry; numerical: what it should be.": (
        "backward：在该元素处返回的值；数值梯度：应有的值。"
    ),
    "{columns}: backward against numerical over all entries, 1 where they agree.": (
        "{columns}：所有元素上 backward 与数值梯度之比较，一致时为 1。"
    ),
    "{count} of them wrong": "其中 {count} 个错误",
    "worst error {error:.1e}, {words}": "最大误差 {error:.1e}，{words}",
    "... and {count} more inputs: {verdict}": "……还有 {count} 个输入：{verdict}",
    "{name} {shape}: {verdict}; entries compared: {entries}": (
        "{name} {shape}：{verdict}；比较的元素数：{entries}"
    ),
    "; worst error {error} at {at}, backward {backward}, numerical {numerical}": (
        "；最大误差 {error}，位于 {at}，backward {backward}，数值梯度 {numerical}"
    ),
    "an argument of forward that gets a gradient": "forward 的一个有梯度的参数",
    "of the input": "输入的形状",
    "how many entries were compared": "比较了多少个元素",
    "the largest |backward - numerical| / max(|backward|, |numerical|)": (
        "|a - n| / max(|a|, |n|) 的最大值，a 来自 backward，n 是数值梯度"
    ),
    "the index of the entry with the largest error": "误差最大的元素的索引",
    "what backward returned for that entry": "backward 对该元素返回的值",
    "what moving that entry a little gives: the right value": "稍微移动该元素得到的值：正确的值",
    "the factor that turns the numerical gradient into backward's best, over all entries": (
        "把数值梯度变得最接近 backward 的因子，对所有元素而言"
    ),
    "of the angle between both gradients: 1 = same direction, -1 = opposite": (
        "两个梯度夹角的余弦：1 = 方向相同，-1 = 方向相反"
    ),
    "the worst error in words": "用文字表示的最大误差",
    "empty = agrees, red = wrong": "空白 = 一致，红色 = 错误",
    ", dotted = not compared": "，虚线 = 没有比较",
    "; a square is the worst of {down} x {right} entries": (
        "；每格是 {down} x {right} 个元素中最差的"
    ),
    "errors of {name} {shape}": "{name} {shape} 的误差",
    "<b>{name}</b>: the gradient check failed at <b>{input}</b>": (
        "<b>{name}</b>：梯度检验未通过，问题在 <b>{input}</b>"
    ),
    # kinds.py
    "every entry has the wrong sign": "每个元素的符号都错了",
    "every entry is the same constant times what it should be": "每个元素都是应有值的同一常数倍",
    "the right numbers with two axes exchanged": "数是对的，但两个轴互换了",
    (
        "an input that several places share (broadcast, a bias, a batch) gets the gradient of "
        "each place, or of one of them, instead of their sum"
    ): ("多处共用的输入（广播、偏置、批量）得到的是每一处或其中一处的梯度，而不是它们的和"),
    "a sum, a mean or a spread runs over another axis, or over more, than in forward": (
        "求和、取均值或展开所沿的轴与 forward 不同，或者比它多"
    ),
    (
        "an entry that an index uses several times keeps the gradient of one use instead of "
        "their sum"
    ): ("被索引使用多次的元素只留下一次使用的梯度，而不是它们的和"),
    "a term with a mean over an axis is missing, doubled or has the wrong sign": (
        "沿某个轴取均值的一项缺失、重复或符号错了"
    ),
    "a term with a sum over an axis is missing, doubled or has the wrong sign": (
        "沿某个轴求和的一项缺失、重复或符号错了"
    ),
    (
        "one way from the input to the output is not followed: a use of the input, a term of "
        "the product rule, an output, the way through time; what is there is right"
    ): (
        "从输入到输出的一条路径没有计入：输入的一次使用、乘法法则的一项、一个输出、随时间的路径"
        "；已有的部分是对的"
    ),
    "the gradient is zero, or None, though the output depends on the input": (
        "梯度是零或 None，但输出依赖于输入"
    ),
    (
        "some entries are right and others wrong, or the right numbers stand in the wrong "
        "places: shifted, reversed, or under the wrong mask"
    ): ("一些元素对，另一些错；或者正确的数放错了位置：移位、颠倒，或者用错了掩码"),
    "the gradient is not proportional to grad_out": "梯度与 grad_out 不成正比",
    "an input, grad_out or a saved array was overwritten": (
        "某个输入、grad_out 或保存的数组被改写了"
    ),
    "a gradient has another shape than its input, or their number is wrong": (
        "梯度的形状与输入不同，或者梯度的个数不对"
    ),
    "a gradient has another dtype than its input": "梯度的数据类型与输入不同",
    "there are NaN or Inf": "有 NaN 或 Inf",
    (
        "a factor is missing, or another array stands in its place: another operand, its "
        "transpose, or another function of it"
    ): ("缺少一个因子，或者它的位置上是别的数组：另一个操作数、它的转置，或者它的另一个函数"),
    "wrong, with no pattern that was found": "错误，没有找到规律",
    "forward computes something else than it should": "forward 算的不是应当算的东西",
    "forward is not finite for large inputs for which the true value is": (
        "真值有限时，forward 对大的输入却不是有限的"
    ),
    "backward differentiates forward numerically instead of by a formula": (
        "backward 不是用公式，而是用数值方法对 forward 求导"
    ),
    # cli/gradcheck.py
    "operation": "运算",
    "cases": "组数",
    "{count} operations in {seconds:.1f} s: {right} right, {small} below 1e-8": (
        "{seconds:.1f} 秒检验了 {count} 个运算：{right} 个正确，{small} 个的误差低于 1e-8"
    ),
    "{count} FAILED": "{count} 个未通过",
    # report_html.py: the maps
    "{error:.1e}, {words}": "{error:.1e}，{words}",
}
