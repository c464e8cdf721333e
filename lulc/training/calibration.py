"""Temperature: one divisor of the logits that makes probabilities mean what they say."""

import torch
from torch import Tensor
from torch.nn import functional

from lulc.training.augment import Target

_PER_BATCH = 20_000


class TemperatureFit:
    """Collects validation pixels, then fits the temperature (Guo et al. 2017).

    Args:
        seed: Of the choice of pixels.
    """

    def __init__(self, seed: int = 0) -> None:
        self._random = torch.Generator().manual_seed(seed)
        self._logits: list[Tensor] = []
        self._shares: list[Tensor] = []

    def feed(self, logits: Tensor, target: Target) -> None:
        """Take a random part of the labelled pixels of (n, K, height, width) logits."""
        known, classes = target.known, logits.shape[1]
        pixels = logits.permute(0, 2, 3, 1)[known].cpu()
        if target.shares is None:
            shares = functional.one_hot(target.codes[known].cpu(), classes).float()
        else:
            shares = target.shares.permute(0, 2, 3, 1)[known].cpu()
        chosen = torch.randperm(len(pixels), generator=self._random)[:_PER_BATCH]
        self._logits.append(pixels[chosen].clone())
        self._shares.append(shares[chosen].clone())

    def result(self) -> float:
        """The temperature with the least cross-entropy, 1 when there was nothing to fit."""
        if not sum(map(len, self._logits)):
            return 1.0
        logits, shares = torch.cat(self._logits), torch.cat(self._shares)
        log_t = torch.zeros(1, requires_grad=True)
        search = torch.optim.LBFGS([log_t], max_iter=50, line_search_fn="strong_wolfe")

        def closure() -> Tensor:
            search.zero_grad()
            loss = -(shares * functional.log_softmax(logits / log_t.exp(), dim=1)).sum(dim=1).mean()
            loss.backward()  # type: ignore[no-untyped-call]
            return loss

        search.step(closure)  # type: ignore[no-untyped-call]
        return float(log_t.detach().exp().clamp(0.05, 20.0))
