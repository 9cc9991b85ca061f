"""The concordance: every line of the source is in it, and every page and heading that it names is there.

The source itself is not in this repository. What is kept here is its structure: the number of each section, bullet, step,
listing, question and answer, with a phrase of its own words.
"""

import json
import re

import pytest
from visiting import ROOT

PAGE = ROOT / "book" / "appendix" / "concordance.md"
SOURCE = [
    ("1", "背景介绍"),
    ("1", "大型模型在各个领域的应用越来越广泛"),
    ("1", "需要大量的数据和计算资源"),
    ("1", "提高模型性能和降低训练成本"),
    ("2", "核心概念与联系"),
    ("2, concept 1", "数据集"),
    ("2, concept 2", "损失函数"),
    ("2, concept 3", "优化算法"),
    ("2, concept 4", "学习率"),
    ("2, concept 5", "批量大小"),
    ("2, concept 6", "学习率调整"),
    ("2, link 1", "数据集为模型训练提供信息，损失函数衡量模型预测效果"),
    ("2, link 2", "优化算法根据损失函数调整模型权重"),
    ("2, link 3", "学习率影响权重更新的大小，批量大小决定一次训练迭代使用的样本数量"),
    ("2, link 4", "学习率调整策略根据训练过程中的性能调整学习率"),
    ("3", "核心算法原理和具体操作步骤以及数学模型公式详细讲解"),
    ("3.1", "梯度下降算法原理"),
    ("3.1", "计算损失函数梯度（偏导数）"),
    ("3.1", "在梯度方向进行小步长的更新"),
    ("3.2", "梯度下降算法具体操作步骤"),
    ("3.2, step 1", "初始化模型权重"),
    ("3.2, step 2", "计算当前权重下的损失函数值"),
    ("3.2, step 3", "计算损失函数梯度"),
    ("3.2, step 4", "更新权重"),
    ("3.2, step 5", "重复步骤2-4，直到收敛"),
    ("3.3", "学习率调整策略"),
    ("3.3", "提高训练效率和准确性"),
    ("3.3, strategy 1", "固定学习率"),
    ("3.3, strategy 2", "指数衰减学习率"),
    ("3.3, strategy 3", "时间衰减学习率"),
    ("3.4", "批量大小选择"),
    ("3.4", "对训练效果和计算资源有很大影响"),
    ("3.4, strategy 1", "固定批量大小"),
    ("3.4, strategy 2", "学习率与批量大小关联"),
    ("4", "具体最佳实践：代码实例和详细解释说明"),
    ("4.1", "使用PyTorch实现梯度下降算法"),
    ("4.1, listing", "y_pred = model(x)"),
    ("4.1, comment", "定义模型"),
    ("4.1, comment", "初始化模型和优化器"),
    ("4.1, comment", "训练模型"),
    ("4.2", "使用学习率调整策略"),
    ("4.2, listing", "使用指数衰减学习率"),
    ("4.3", "使用批量大小调整策略"),
    ("4.3, listing, first half", "使用固定批量大小"),
    ("4.3, listing, second half", "使用学习率与批量大小关联"),
    ("5", "实际应用场景"),
    ("5", "提高模型性能，降低训练成本，并解决实际应用中的挑战"),
    ("5, field 1", "自然语言处理"),
    ("5, field 2", "计算机视觉"),
    ("5, field 3", "机器学习"),
    ("6", "工具和资源推荐"),
    ("6, tool 1", "PyTorch"),
    ("6, tool 2", "TensorFlow"),
    ("6, tool 3", "Hugging Face Transformers"),
    ("6, tool 3", "预训练大型模型和相关训练方法"),
    ("7", "未来发展趋势与挑战"),
    ("7", "取得了显著进展，但仍存在挑战"),
    ("7, hope 1", "更高效的训练方法"),
    ("7, hope 2", "更智能的优化策略"),
    ("7, hope 3", "更加强大的计算资源"),
    ("8", "常见问题与解答"),
    ("8, question 1", "为什么需要优化算法？"),
    ("8, answer 1", "优化算法用于最小化损失函数，从而提高模型预测效果"),
    ("8, question 2", "学习率如何选择？"),
    ("8, answer 2", "学习率可以根据训练过程中的性能调整"),
    ("8, question 3", "批量大小如何选择？"),
    ("8, answer 3", "批量大小可以根据模型复杂性、计算资源和训练效果调整"),
    ("8, question 4", "大型模型训练中的挑战？"),
    ("8, challenge 1", "计算资源有限"),
    ("8, challenge 2", "训练时间长"),
    ("8, challenge 3", "过拟合"),
]


def rows() -> list[list[str]]:
    """The cells of each row of the page's tables."""
    found = []
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("|") and not line.startswith(("|---", "| no. |")):
            found.append([cell.strip() for cell in line.strip().strip("|").split("|")])
            assert len(found[-1]) == 4, line
    return found


def headings(path) -> set[str]:
    """The headings of a page, as they are written in it."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        cells = json.loads(text)["cells"]
        text = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    text = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    return set(re.findall(r"^#+ (.+?) *$", text, flags=re.M))


def test_every_line_of_the_source_is_treated():
    listed = {(number, words.strip("`")) for number, words, *_ in rows()}
    assert listed == set(SOURCE)


def test_every_section_has_its_number():
    sections = {number.split(",")[0] for number, *_ in rows()}
    assert sections == {"1", "2", "3", "3.1", "3.2", "3.3", "3.4", "4", "4.1", "4.2", "4.3", "5", "6", "7", "8"}


@pytest.mark.parametrize("row", rows(), ids=lambda row: f"{row[0]}: {row[1]}")
def test_every_link_has_the_words_of_its_heading(row):
    """That the heading's anchor is there too, the build says, whose warnings are errors."""
    links = [re.search(r"\[(.+)\]\(([^)#]+)#[^)]+\)$", link) for link in row[3].split("<br>")]
    assert all(links), "a link without a heading"
    for heading, target in (link.groups() for link in links):
        path = (PAGE.parent / target).resolve()
        assert path.is_file(), f"no such page: {target}"
        assert heading in headings(path), f"{target} has no heading {heading!r}"


def test_every_row_is_said_in_english_too():
    assert all(english for _, _, english, _ in rows())
