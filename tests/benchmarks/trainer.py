"""`Trainer` against loops written by hand, and against other libraries: same model, same data, same batch size."""

import logging
import os
import sys
import tempfile
import warnings
from pathlib import Path

import torch
from race import race, table
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from gdlib import Trainer, data, models

torch.set_num_threads(1)
warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
train, loss_fn = data.digits().train.to(DEVICE), nn.functional.cross_entropy
STEPS, SIZE, LR = 440, 64, 0.1  # 20 epochs of 22 whole batches
EPOCHS = 20


def make_model() -> nn.Module:
    torch.manual_seed(0)
    return models.mlp(64, 32, 10).to(DEVICE)


def by_trainer(look: bool = False) -> None:
    trainer = Trainer(make_model(), train, loss_fn, lr=LR, batch_size=SIZE, device=DEVICE, precision="fp32")
    for step in trainer.run(STEPS):
        if look:
            _ = step.loss


def by_hand() -> None:
    model = make_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=LR)
    n = len(train)
    for start in range(0, STEPS * SIZE, SIZE):
        if start % n < SIZE:
            order = torch.randperm(n, device=DEVICE)
        rows = order[start % n : start % n + SIZE]
        optimizer.zero_grad()
        loss_fn(model(train.inputs[rows]), train.targets[rows]).backward()
        optimizer.step()


def by_loader() -> None:
    model = make_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=LR)
    loader = DataLoader(TensorDataset(train.inputs, train.targets), batch_size=SIZE, shuffle=True, drop_last=True)
    for _ in range(EPOCHS):
        for inputs, targets in loader:
            optimizer.zero_grad()
            loss_fn(model(inputs), targets).backward()
            optimizer.step()


def by_lightning() -> None:
    import lightning

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.model = make_model()

        def training_step(self, batch, index):
            return loss_fn(self.model(batch[0]), batch[1])

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=LR)

    loader = DataLoader(TensorDataset(train.inputs, train.targets), batch_size=SIZE, shuffle=True, drop_last=True)
    trainer = lightning.Trainer(
        max_epochs=EPOCHS, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, accelerator="gpu" if DEVICE == "cuda" else "cpu", devices=1,
    )  # fmt: skip
    trainer.fit(Module(), loader)


def by_skorch() -> None:
    from skorch import NeuralNetClassifier

    net = NeuralNetClassifier(
        make_model(), criterion=nn.CrossEntropyLoss, optimizer=torch.optim.SGD, lr=LR, batch_size=SIZE,
        max_epochs=EPOCHS, train_split=None, verbose=0, iterator_train__shuffle=True, iterator_train__drop_last=True,
        device=DEVICE,
    )  # fmt: skip
    net.fit(train.inputs, train.targets)


# A language model of 0.8 million parameters ----------------------------------------------------------------------

text = data.python_source(context=64, characters=200_000).train.to(DEVICE)
TOKENS, GPT_STEPS = 32, 20


def make_gpt() -> nn.Module:
    torch.manual_seed(0)
    return models.gpt(97, context=64).to(DEVICE)


def gpt_by_trainer() -> Trainer:
    trainer = Trainer(
        make_gpt(), text, models.next_token_loss, torch.optim.AdamW, lr=1e-3, batch_size=TOKENS, device=DEVICE,
        precision="fp32", clip_norm=1.0,
    )  # fmt: skip
    for _ in trainer.run(GPT_STEPS):
        pass
    return trainer


def gpt_by_hand() -> None:
    """As nanoGPT does it: random windows, zero the gradients, forward, backward, clip, step."""
    model = make_gpt()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=DEVICE == "cuda")
    for _ in range(GPT_STEPS):
        rows = torch.randint(len(text), (TOKENS,), device=DEVICE)
        loss = models.next_token_loss(model(text.inputs[rows]), text.targets[rows])
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)


def peak_memory(work) -> float:
    """Bytes at the highest: of the GPU's allocator, or of a process of its own."""
    if DEVICE == "cuda":
        torch.cuda.reset_peak_memory_stats()
        work()
        return torch.cuda.max_memory_allocated()
    child = os.fork()
    if child == 0:
        work()
        os._exit(0)
    _, _, usage = os.wait4(child, 0)
    return usage.ru_maxrss


if __name__ == "__main__":
    memory = peak_memory(gpt_by_hand) / peak_memory(gpt_by_trainer)
    seconds = race(
        {
            "trainer": by_trainer, "look": lambda: by_trainer(look=True), "hand": by_hand, "loader": by_loader,
            "lightning": by_lightning, "skorch": by_skorch,
        },
        rounds=5,
    )  # fmt: skip
    good = table(
        f"Trainer, digits MLP, batch size 64, {DEVICE} (times faster than)",
        [
            ("a loop written by hand", seconds["hand"] / seconds["trainer"], 0.95),
            ("the same, when every step's loss is looked at", seconds["hand"] / seconds["look"], None),
            ("a loop over DataLoader", seconds["loader"] / seconds["trainer"], 1.6),
            ("skorch", seconds["skorch"] / seconds["trainer"], 2.0),
            ("Lightning", seconds["lightning"] / seconds["trainer"], 2.5),
        ],
    )
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "run.pt"
        trained = gpt_by_trainer()
        seconds = race({"trainer": gpt_by_trainer, "hand": gpt_by_hand, "save": lambda: trained.save(file)}, rounds=4)
        hundred = seconds["trainer"] / GPT_STEPS * 100
    good &= table(
        f"Trainer, GPT of 0.8 M parameters, 32 x 64 tokens, AdamW, clipping, {DEVICE} (times as good as)",
        [
            ("a nanoGPT-style loop, in tokens a second", seconds["hand"] / seconds["trainer"], 0.97),
            ("the same loop, in peak memory", memory, 1 / 1.05),
            ("no checkpoint every 100 steps, in time", hundred / (hundred + seconds["save"]), 0.98),
        ],
    )
    print(f"  {TOKENS * 64 * GPT_STEPS / seconds['trainer']:,.0f} tokens a second")
    sys.exit(not good)
