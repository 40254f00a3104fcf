"""The words of the toy world: one table for each slot of a sentence, English beside Chinese.

A line of a table is `english | chinese | further forms`.  The English word names the value, so that
one value has exactly one English and one Chinese spelling: this is why translation is a function in
both directions.  Words of one phrase are separated by spaces, in Chinese too.

The first third of every table is twice as likely as the rest, so that a model has frequencies to
learn and the best guess at a hidden word is better than chance.
"""

LANGUAGES = ("english", "chinese")

# name | | pronoun
HERO = """
Mia | 米娅 | she
Leo | 里奥 | he
Nora | 诺拉 | she
Tom | 汤姆 | he
Ella | 艾拉 | she
Ben | 本杰 | he
Lucy | 露西 | she
Max | 马克斯 | he
Anna | 安娜 | she
Jack | 杰克 | he
Zoe | 佐伊 | she
Sam | 山姆 | he
Ruby | 鲁比 | she
Hugo | 雨果 | he
Clara | 克拉拉 | she
Oscar | 奥斯卡 | he
Lily | 莉莉 | she
Finn | 芬恩 | he
Alice | 爱丽丝 | she
Peter | 彼得 | he
Emma | 艾玛 | she
David | 大卫 | he
Julia | 朱莉娅 | she
Paul | 保罗 | he
"""

MOTION = """
walked | 走到
ran | 跑到
hurried | 赶到
returned | 回到
cycled | 骑车到
strolled | 散步到
raced | 冲到
travelled | 坐车到
"""

# place | | preposition | localizer (- : the word already has one)
PLACES = {
    "nature": """
park | 公园 | in | 里
forest | 森林 | in | 里
beach | 海滩 | on | 上
garden | 花园 | in | 里
hill | 山坡 | on | 上
meadow | 草地 | in | 上
lake | 湖边 | at | -
river | 河边 | at | -
valley | 山谷 | in | 里
farm | 农场 | on | 里
""",
    "shop": """
market | 市场 | at | 里
shop | 商店 | in | 里
mall | 商场 | in | 里
fair | 集市 | at | 上
supermarket | 超市 | in | 里
""",
    "indoors": """
school | 学校 | at | 里
library | 图书馆 | in | 里
museum | 博物馆 | in | 里
village | 村子 | in | 里
hotel | 旅馆 | in | 里
theatre | 剧院 | in | 里
castle | 城堡 | in | 里
""",
}

WEATHER = """
sunny | 晴朗
rainy | 下雨
windy | 刮风
snowy | 下雪
cloudy | 多云
foggy | 大雾
warm | 温暖
cold | 寒冷
"""

DAY = """
Monday | 星期一
Tuesday | 星期二
Wednesday | 星期三
Thursday | 星期四
Friday | 星期五
Saturday | 星期六
Sunday | 星期日
"""

DAYPART = """
morning | 早上
afternoon | 下午
evening | 傍晚
"""

COMPANION = """
brother | 弟弟
sister | 妹妹
mother | 妈妈
father | 爸爸
grandmother | 奶奶
grandfather | 爷爷
uncle | 叔叔
aunt | 阿姨
cousin | 表哥
friend | 朋友
neighbour | 邻居
teacher | 老师
classmate | 同学
"""

# thing | | measure word
OBJECTS = {
    "toy": """
kite | 风筝 | 只
ball | 皮球 | 个
doll | 布娃娃 | 个
robot | 机器人 | 个
puzzle | 拼图 | 幅
balloon | 气球 | 个
top | 陀螺 | 个
puppet | 木偶 | 个
sailboat | 帆船 | 艘
windmill | 风车 | 个
""",
    "clothes": """
coat | 大衣 | 件
sweater | 毛衣 | 件
dress | 连衣裙 | 条
shirt | 衬衫 | 件
jacket | 夹克 | 件
raincoat | 雨衣 | 件
skirt | 短裙 | 条
vest | 背心 | 件
costume | 戏服 | 件
robe | 长袍 | 件
""",
    "paper": """
storybook | 故事书 | 本
map | 地图 | 张
letter | 信件 | 封
diary | 日记本 | 个
postcard | 明信片 | 张
notebook | 笔记本 | 个
poster | 海报 | 张
dictionary | 词典 | 本
magazine | 杂志 | 本
album | 相册 | 本
""",
    "tool": """
cup | 杯子 | 个
lamp | 台灯 | 盏
umbrella | 雨伞 | 把
basket | 篮子 | 个
clock | 闹钟 | 个
box | 盒子 | 个
chair | 椅子 | 把
mirror | 镜子 | 面
backpack | 背包 | 个
bottle | 瓶子 | 个
""",
    "instrument": """
guitar | 吉他 | 把
drum | 腰鼓 | 个
violin | 小提琴 | 把
flute | 长笛 | 支
trumpet | 小号 | 把
harp | 竖琴 | 架
accordion | 手风琴 | 架
harmonica | 口琴 | 支
cello | 大提琴 | 把
clarinet | 单簧管 | 支
""",
    "food": """
cake | 蛋糕 | 个
cookie | 饼干 | 块
pie | 馅饼 | 个
pudding | 布丁 | 个
bun | 面包 | 个
muffin | 松饼 | 块
pancake | 煎饼 | 张
candy | 糖果 | 颗
waffle | 华夫饼 | 块
doughnut | 甜甜圈 | 个
""",
}

# what can be come by where: nobody finds a cake in a forest
CATEGORIES_OF = {
    "nature": ("toy", "tool", "paper"),
    "shop": ("food", "toy", "clothes", "tool", "paper"),
    "indoors": ("instrument", "paper", "clothes", "toy"),
}

# adjective | | article
SIZE = """
small | 小小 | a
big | 大大 | a
pretty | 漂亮 | a
strange | 奇怪 | a
lovely | 可爱 | a
ordinary | 普通 | an
elegant | 精致 | an
amazing | 神奇 | an
"""

COLOURS = """
red | 红色
blue | 蓝色
green | 绿色
yellow | 黄色
white | 白色
black | 黑色
purple | 紫色
orange | 橙色
pink | 粉色
brown | 棕色
"""

FLAVOURS = """
honey | 蜂蜜味
chocolate | 巧克力味
strawberry | 草莓味
apple | 苹果味
lemon | 柠檬味
banana | 香蕉味
coconut | 椰子味
cherry | 樱桃味
"""

GETS = {
    "nature": """
found | 找到
discovered | 发现
dug up | 挖到
picked up | 捡到
""",
    "shop": """
bought | 买到
chose | 挑选
ordered | 订购
won | 赢得
""",
    "indoors": """
received | 收到
borrowed | 借到
rented | 租到
earned | 获得
""",
}

OBSTACLE = """
it was too expensive | 它 太 贵 了
it was too far away | 它 离得 太 远 了
somebody else took it | 别人 先 拿走 了 它
nobody wanted to help | 没有 人 愿意 帮忙
it suddenly vanished | 它 忽然 不见 了
"""

MANNER = """
happily | 开心
quietly | 安静
carefully | 小心
proudly | 骄傲
slowly | 慢慢
gently | 轻轻
eagerly | 急切
patiently | 耐心
curiously | 好奇
busily | 忙碌
"""

USES = {
    "toy": """
enjoyed | 玩着
carried | 举着
admired | 欣赏着
showed off | 炫耀着
""",
    "clothes": """
wore | 穿着
washed | 洗着
folded | 叠着
ironed | 熨着
""",
    "paper": """
read | 看着
studied | 研究着
described | 介绍着
looked through | 翻看着
""",
    "tool": """
used | 用着
cleaned | 擦着
decorated | 装饰着
tested | 试用着
""",
    "instrument": """
played | 演奏着
practised | 练习着
tuned | 调试着
polished | 擦拭着
""",
    "food": """
tasted | 品尝着
smelled | 闻着
nibbled | 啃着
shared | 分享着
""",
}

# animal | | measure word | article
THIEF = """
dog | 狗 | 条 | a
cat | 猫 | 只 | a
crow | 乌鸦 | 只 | a
monkey | 猴子 | 只 | a
goat | 山羊 | 只 | a
squirrel | 松鼠 | 只 | a
fox | 狐狸 | 只 | a
goose | 鹅 | 只 | a
rabbit | 兔子 | 只 | a
parrot | 鹦鹉 | 只 | a
donkey | 驴 | 头 | a
seagull | 海鸥 | 只 | a
raccoon | 浣熊 | 只 | a
horse | 马 | 匹 | a
owl | 猫头鹰 | 只 | an
elephant | 大象 | 头 | an
"""

MISHAPS = {
    "gone": """
stole | 偷走
hid | 藏起来
dragged away | 拖走
carried off | 抢走
""",
    "broken": """
broke | 弄坏
damaged | 碰坏
crushed | 压坏
scratched | 抓坏
""",
}

TRIES = {
    "gone": """
looked for | 寻找
searched for | 搜寻
asked about | 打听
""",
    "broken": """
tried to repair | 修理
tried to mend | 修补
worked on | 摆弄
""",
}

DURATION = """
all day | 一整天
for hours | 好几 个 小时
for an hour | 一 个 小时
for a long time | 很长 时间
"""

# quality | | article
TRAIT = """
kind | 善良 | a
friendly | 友好 | a
clever | 聪明 | a
brave | 勇敢 | a
polite | 有礼貌 | a
young | 年轻 | a
gentle | 温柔 | a
cheerful | 开朗 | a
honest | 诚实 | an
obliging | 热心 | an
"""

HELPER = """
farmer | 农民
doctor | 医生
postman | 邮递员
baker | 面包师
gardener | 园丁
fisherman | 渔夫
sailor | 水手
painter | 画家
nurse | 护士
singer | 歌手
driver | 司机
carpenter | 木匠
pilot | 飞行员
cook | 厨师
"""

RESCUES = {
    "gone": """
recovered | 找回
brought back | 带回
returned | 送回
""",
    "broken": """
repaired | 修好
fixed | 弄好
restored | 修复
""",
}

GIVE = """
gave | 送给
handed | 交给
lent | 借给
passed | 递给
"""

THANK = """
thanked | 感谢
praised | 称赞
hugged | 拥抱
"""

CLOSE = """
in the end | 最后
that night | 那天 夜里
at bedtime | 睡觉 前
on the way home | 回家 的 路上
"""

DEGREE = """
very | 非常
really | 真的 很
quite | 相当
so | 十分
"""

FEELINGS = {
    "positive": """
happy | 快乐
proud | 自豪
glad | 高兴
grateful | 感激
lucky | 幸运
excited | 兴奋
calm | 平静
joyful | 愉快
hopeful | 乐观
relaxed | 轻松
satisfied | 满足
safe | 安心
""",
    "negative": """
sad | 难过
angry | 生气
lonely | 孤单
worried | 担心
tired | 疲惫
upset | 沮丧
scared | 害怕
disappointed | 失望
nervous | 紧张
ashamed | 惭愧
helpless | 无助
hurt | 委屈
""",
}

AFTERS = {
    "positive": """
talked about | 谈起 了
dreamed of | 梦见 了
drew | 画下 了
sang about | 唱起 了
""",
    "negative": """
kept thinking about | 一直 想着
cried about | 哭着 说起
complained about | 抱怨 起
sighed about | 叹着气 提到
""",
}

# the names of the further columns: (language, form)
FORMS = {
    "hero": (("english", "she"),),
    "place": (("english", "at"), ("chinese", "loc")),
    "object": (("chinese", "cl"),),
    "size": (("english", "a"),),
    "trait": (("english", "a"),),
    "thief": (("chinese", "cl"), ("english", "a")),
}
TABLES: dict[str, "str | dict[str, str]"] = {
    "hero": HERO, "motion": MOTION, "place": PLACES, "weather": WEATHER, "day": DAY,
    "daypart": DAYPART, "companion": COMPANION, "object": OBJECTS, "size": SIZE,
    "look": {"colour": COLOURS, "flavour": FLAVOURS}, "get": GETS, "obstacle": OBSTACLE,
    "manner": MANNER, "use": USES, "thief": THIEF, "mishap": MISHAPS, "try": TRIES,
    "duration": DURATION, "trait": TRAIT, "helper": HELPER, "rescue": RESCUES, "give": GIVE,
    "thank": THANK, "close": CLOSE, "degree": DEGREE, "feeling": FEELINGS, "after": AFTERS,
}  # fmt: skip
PRONOUNS = {
    "she": {("english", "her"): ("her",), ("chinese", "she"): ("她",)},
    "he": {("english", "her"): ("his",), ("chinese", "she"): ("他",)},
}

# (slot, language, form) -> value -> its tokens; form "" is the word itself
Spellings = dict[tuple[str, str, str], dict[str, tuple[str, ...]]]


def _read_line(slot: str, line: str, spellings: Spellings) -> str:
    """Files one line of a table under all its forms; the value it names."""
    value, chinese, *more = (cell.strip() for cell in line.split("|"))
    spellings.setdefault((slot, "english", ""), {})[value] = tuple(value.split())
    spellings.setdefault((slot, "chinese", ""), {})[value] = tuple(chinese.split())
    for (language, form), cell in zip(FORMS.get(slot, ()), more, strict=True):
        spellings.setdefault((slot, language, form), {})[value] = () if cell == "-" else (cell,)
        if slot == "hero":
            for (other, pronoun), tokens in PRONOUNS[cell].items():
                spellings.setdefault((slot, other, pronoun), {})[value] = tokens
    return value


def _read_tables() -> tuple[Spellings, dict[str, dict[str, tuple[str, ...]]]]:
    """All spellings, and the values of each slot by group (group "" where there is only one)."""
    spellings: Spellings = {}
    groups: dict[str, dict[str, tuple[str, ...]]] = {}
    for slot, table in TABLES.items():
        tables = {"": table} if isinstance(table, str) else table
        groups[slot] = {
            group: tuple(_read_line(slot, line, spellings) for line in text.strip().split("\n"))
            for group, text in tables.items()
        }
    return spellings, groups


SPELLINGS, GROUPS = _read_tables()


def group_of(slot: str) -> dict[str, str]:
    """Value -> the group whose table it stands in."""
    return {value: group for group, values in GROUPS[slot].items() for value in values}


GROUP_OF_PLACE, CATEGORY_OF, FATE_OF = group_of("place"), group_of("object"), group_of("mishap")
