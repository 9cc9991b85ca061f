"""What is drawn is what was measured: the figures' data, read back from their artists."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from gdlib import History, Sweep, plots, problems
from gdlib.choosing import CriticalBatch, RangeTest
from gdlib.descent import descend

bowl = problems.Quadratic((1.0, 10.0))
path = descend(bowl, (1.0, 1.0), lr=0.15, steps=20)


@pytest.fixture(autouse=True)
def closed():
    plots.style()
    yield
    plt.close("all")


def luminance(color: str) -> float:
    rgb = np.array(plt.matplotlib.colors.to_rgb(color))
    linear = np.where(rgb <= 0.03928, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("background", ["#ffffff", "#121212"])
def test_colours_stand_out_on_both_pages(background):
    for color in [*plots.COLORS.values(), *plots.CYCLE]:
        low, high = sorted((luminance(color), luminance(background)))
        assert (high + 0.05) / (low + 0.05) > 2.4, color


def test_contours_hold_the_path_and_the_minimum():
    ax = plots.contours(bowl, path, labels=["lr 0.15"])
    minimum, walked = ax.lines
    np.testing.assert_array_equal(walked.get_xydata(), path.points.numpy())
    np.testing.assert_array_equal(minimum.get_xydata()[0], bowl.minimum.numpy())
    assert [t.get_text() for t in ax.texts] == ["lr 0.15"]
    with pytest.raises(ValueError, match="two parameters to be drawn; got 3"):
        plots.contours(problems.Quadratic((1, 2, 3)))


def test_losses_of_paths_and_of_seeds():
    seeds = np.array([[4.0, 2.0, 1.0], [2.0, 1.0, 0.5]])
    ax = plots.losses([path, seeds], labels=["one", "two"])
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), path.losses.numpy())
    np.testing.assert_array_equal(ax.lines[1].get_ydata(), [3.0, 1.5, 0.75])
    assert ax.get_yscale() == "log"
    assert len(ax.collections) == 1


def test_loss_against_lr_marks_what_diverged():
    losses = np.ones((3, 1, 2, 10), np.float32) * np.array([3.0, 1.0, np.inf], np.float32)[:, None, None, None]
    ax = plots.loss_against_lr(Sweep(np.array([0.1, 1.0, 10.0]), np.array([8]), np.array([0, 1]), losses))
    good, bad = ax.lines
    assert good.get_xydata().tolist() == [[0.1, 3.0], [1.0, 1.0]]
    assert bad.get_xdata().tolist() == [10.0]
    with pytest.raises(ValueError, match="batch_size"):
        plots.loss_against_lr(Sweep(np.array([0.1, 1.0, 10.0]), np.array([8]), np.array([0, 1]), losses), batch_size=9)


def test_schedules_are_drawn_as_functions_of_the_step():
    ax = plots.schedules([lambda step: 2.0 * step, lambda step: 1.0], steps=3, labels=["rising", "level"])
    assert [list(line.get_ydata()) for line in ax.lines] == [[0.0, 2.0, 4.0], [1.0, 1.0, 1.0]]
    assert [t.get_text() for t in ax.texts] == ["rising", "level"]


def test_range_test_marks_the_suggestion_on_the_smoothed_curve():
    lrs, losses = np.geomspace(0.001, 1.0, 20), np.linspace(3.0, 1.0, 20)
    ax = plots.range_test(RangeTest(lrs, losses, losses + 0.1, lrs[7], "because"))
    dots, line, chosen = ax.lines
    np.testing.assert_array_equal(dots.get_ydata(), losses)
    np.testing.assert_array_equal(line.get_ydata(), losses + 0.1)
    assert chosen.get_xydata().tolist() == [[lrs[7], losses[7] + 0.1]]
    assert len(plots.range_test(RangeTest(lrs, losses, losses, None, "none")).lines) == 2


def test_heat_map_shows_every_cell_and_the_ridge():
    losses = np.ones((3, 2, 2, 10), np.float32) * np.array([[3.0, 2.0], [1.0, 4.0], [np.inf, 1.5]])[..., None, None]
    ax = plots.heat_map(Sweep(np.array([0.1, 1.0, 10.0]), np.array([8, 64]), np.array([0, 1]), losses.astype("f4")))
    assert ax.collections[0].get_array().filled(-1).ravel().tolist() == [3.0, 2.0, 1.0, 4.0, -1.0, 1.5]
    cross, ridge = ax.lines
    assert cross.get_xydata().tolist() == [[0, 2]]
    assert ridge.get_xydata().tolist() == [[0, 1], [1, 2]]


def test_steps_to_target_with_its_asymptotes():
    sizes, fit = np.array([4, 16, 64, 256]), CriticalBatch(40.0, 1.1, 100.0)
    ax = plots.steps_to_target(sizes, fit.steps(sizes)[:, None] * [0.9, 1.1], fit)
    points, curve, perfect, least, critical = ax.lines
    np.testing.assert_allclose(points.get_ydata(), fit.steps(sizes))
    np.testing.assert_allclose(curve.get_ydata(), fit.steps(curve.get_xdata()))
    np.testing.assert_allclose(perfect.get_ydata() * perfect.get_xdata(), 4000)
    assert (set(least.get_ydata()), set(critical.get_xdata())) == ({100.0}, {40.0})


@pytest.mark.parametrize("draw", [plots.heat_map, plots.loss_against_lr, plots.range_test, plots.losses])
def test_what_cannot_be_drawn_is_refused_in_words(draw):
    for value in (3, History()):
        with pytest.raises(TypeError, match=r"must be a .*; got (int|History)"):
            draw(value)
