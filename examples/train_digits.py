"""Train a small net on scikit-learn's 1,797 handwritten digits (8 x 8) and look at what its kernels learn.

Prints the share of a held-out fifth that it reads correctly; draws two pictures in out.
"""

import sys

import convforge as torch
import convforge.nn as nn
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from tqdm import tqdm

from tools import pyplot as plt
from tools.photograph import OUT

EPOCHS, BATCH, PEAK_RATE = 12, 64, 1e-2


def digits() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Training images and labels, then those of the held-out fifth. Images (n, 1, 8, 8) of 0…1."""
    pixels, labels = load_digits(return_X_y=True)
    images = (pixels / 16).astype(np.float32).reshape(-1, 1, 8, 8)
    train_x, test_x, train_y, test_y = train_test_split(
        images, labels.astype(np.int64), test_size=0.2, random_state=0, stratify=labels
    )
    return tuple(map(torch.from_numpy, (train_x, train_y, test_x, test_y)))


def network() -> nn.Sequential:
    """Three convolutions; a batch norm follows each, so none needs a bias."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, padding=1, bias=False),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1, bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(64, 10),
    )


def train(model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> list[float]:
    """The loss of every step. The rate rises and falls once, over the whole run."""
    steps_per_epoch = len(images) // BATCH
    optimizer = torch.optim.AdamW(model.parameters(), lr=PEAK_RATE, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=PEAK_RATE, total_steps=EPOCHS * steps_per_epoch
    )
    criterion = nn.CrossEntropyLoss()
    losses = []
    model.train()
    with tqdm(total=EPOCHS, unit="epoch", file=sys.stderr) as bar:
        for _ in range(EPOCHS):
            order = torch.randperm(len(images))
            for step in range(steps_per_epoch):
                chosen = order[step * BATCH : (step + 1) * BATCH]
                optimizer.zero_grad()
                loss = criterion(model(images[chosen]), labels[chosen])
                loss.backward()
                optimizer.step()
                schedule.step()
                losses.append(loss.item())
            bar.set_postfix(loss=f"{np.mean(losses[-steps_per_epoch:]):.4f}")
            bar.update()
    return losses


def draw_loss(losses: list[float]) -> None:
    """One dot a step, and a line through the mean of each epoch."""
    steps_per_epoch = len(losses) // EPOCHS
    means = np.reshape(losses, (EPOCHS, steps_per_epoch)).mean(axis=1)
    figure, axes = plt.subplots(figsize=(7, 4))
    axes.semilogy(losses, ".", markersize=2, color="0.7", label="step")
    axes.semilogy((np.arange(EPOCHS) + 0.5) * steps_per_epoch, means, color="C0", label="mean of the epoch")
    axes.set(xlabel="step", ylabel="cross entropy", title="Training on handwritten digits")
    axes.legend()
    figure.savefig(OUT / "digits-loss.png", dpi=100, bbox_inches="tight")


def draw_kernels(model: nn.Sequential, image: torch.Tensor) -> None:
    """The first layer's 16 kernels, on one signed scale, above what each makes of one digit."""
    kernels = model[0].weight.detach().numpy()[:, 0]
    with torch.no_grad():
        maps = model[0](image.unsqueeze(0)).numpy()[0]
    figure, axes = plt.subplots(4, 8, figsize=(10, 5.4))
    for k in range(16):
        for row, picture in ((k // 8 * 2, kernels), (k // 8 * 2 + 1, maps)):
            scale = np.abs(picture).max()
            axes[row, k % 8].imshow(picture[k], cmap="RdBu", vmin=-scale, vmax=scale)
            axes[row, k % 8].set_axis_off()
    figure.suptitle("Learned kernels, and what each makes of one digit (blue: positive, red: negative)")
    figure.savefig(OUT / "digits-kernels.png", dpi=100, bbox_inches="tight")


def main() -> None:
    """Train, measure, draw."""
    torch.manual_seed(0)
    train_x, train_y, test_x, test_y = digits()
    model = network()
    losses = train(model, train_x, train_y)

    model.eval()
    with torch.no_grad():
        right = (model(test_x).argmax(dim=1) == test_y).sum().item()
    print(f"held-out digits read correctly: {right} of {len(test_x)} = {right / len(test_x):.2%}")

    OUT.mkdir(exist_ok=True)
    draw_loss(losses)
    draw_kernels(model, test_x[0])
    print("pictures: out/digits-loss.png, out/digits-kernels.png")


if __name__ == "__main__":
    main()
