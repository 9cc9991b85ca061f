"""When a step is not finite: the error."""


class Divergence(ArithmeticError):
    """A loss, a gradient or an update is not finite. Model, optimizer and generators are as they were before that step.

    Attributes:
        step: number of the step that failed, counted from 0.
        lr: its learning rate; NaN where the optimizer kept its own.
        loss: its loss: NaN or infinity, or a number where it is the gradient or the update that is not finite.
        what: ``"loss"``, ``"gradient"`` or ``"update"``.

    Example:
        >>> from gdlib import Trainer, data, models
        >>> import math, torch
        >>> trainer = Trainer(models.linear(10), data.diabetes().train, torch.nn.functional.mse_loss, lr=10.0)
        >>> try:
        ...     _ = trainer.fit(1000)
        ... except Divergence as error:
        ...     print(error.lr, error.step == trainer.steps_done)
        10.0 True
    """

    def __init__(self, step: int, lr: float, loss: float, what: str = "loss"):
        state = f"the loss is {loss}" if what == "loss" else f"the {what} is not finite"
        super().__init__(
            f"{state} at step {step} with lr {lr:g}; try a third of that rate, a warmup, or look for extreme values in the"
            " data. Model and optimizer keep their state of before that step."
        )
        self.step, self.lr, self.loss, self.what = step, lr, loss, what

    def __reduce__(self) -> tuple:
        return type(self), (self.step, self.lr, self.loss, self.what)
