"""What a pixel was and what it became: the joint probability of its classes at two dates.

The joint posterior of two dates is p_i q_j T_ij over class priors (compound classification: Swain 1978, IEEE Trans.
Syst. Man Cybern. 8, 880-883; Bruzzone, Fernandez Prieto & Serpico 1999, doi 10.1109/36.763299; as a hidden Markov model
of maps: Abercrombie & Friedl 2016, doi 10.1109/TGRS.2015.2463689), with p and q the activations and T the prior of
transitions: 1 - r on the diagonal, r spread evenly over the others.

Which class priors, measurements decided. With the priors of the whole scene (or none) the formula takes the softness of
activations for doubt that is drawn anew at each date. It is not: a pixel that is half grass and half crops is so at
both. Here the priors are those with which the joint keeps what each date says, its marginals being p and q:

    P(i, j) = a_i T_ij b_j,  sum_j P(i, j) = p_i,  sum_i P(i, j) = q_j

That is the joint nearest to T (least Kullback-Leibler divergence) of all with these marginals: T fitted to them in
proportion (Deming & Stephan 1940, Ann. Math. Stat. 11, 427-444; Ireland & Kullback 1968, Biometrika 55, 179-188).
Equal activations, soft or sharp, then mean no change. As r goes to 0 the probability of change becomes the least that
two dates allow, the total variation distance of p and q (maximal coupling; Levin, Peres & Wilmer, Markov Chains and
Mixing Times, prop. 4.7); at r = (K - 1) / K it is the naive 1 - sum_i p_i q_i.

With T even off its diagonal no iteration over K x K cells is needed: P = diag(x) + u v' / sum(u), u = p - x, v = q - x,
where x_i solves x_i l = (p_i - x_i) (q_i - x_i), and l = sum(u) / g with g = (1 - r) (K - 1) / r - 1. So one number l
per pixel is found by iteration, and whatever it is, the marginals are exact.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lulc.io.product.rounding import largest

Codes = NDArray[np.uint8]
Floats = NDArray[np.float32]

_ITERATIONS = 8
"""Halve the error of l's logarithm at worst; the first guess is off by a factor of 3 at most."""

_TINY = np.float32(1e-12)


@dataclass(frozen=True, slots=True, eq=False)
class JointProbability:
    """Probabilities of the pairs of classes of some pixels, in factors: a table of K x K per pixel is never made.

    Attributes:
        kept: float32 (K, n) x, the probability that stays: part of the diagonal.
        lost: float32 (K, n) u, what the earlier date has beyond it.
        gained: float32 (K, n) v, what the later date has beyond it.
        exchanged: float32 (n,) sum of u, and of v.
    """

    kept: Floats
    lost: Floats
    gained: Floats
    exchanged: Floats

    def stable(self) -> Floats:
        """P(i, i): float32 (K, n)."""
        return np.asarray(self.kept + self.lost * self.gained / self.exchanged)

    def change(self) -> Floats:
        """Probability that the classes differ, float32 (n,), 0..1."""
        changed = self.exchanged - _total(self.lost * self.gained) / self.exchanged
        return np.asarray(np.clip(changed, 0, 1))

    def likeliest_change(self) -> tuple[Codes, Codes, Floats]:
        """The most probable i != j of each pixel, uint8 (n,) and (n,) from 0, and its probability, float32 (n,).

        u_i v_j is largest at the largest u and the largest v; where these are of one class, one of them gives way to
        the second largest.
        """
        (before, lost), (after, gained) = largest(self.lost), largest(self.gained)
        second_before, second_lost = _second(self.lost, before)
        second_after, second_gained = _second(self.gained, after)
        same = before == after
        keep_before = lost * second_gained >= second_lost * gained
        other_before, other_after = same & ~keep_before, same & keep_before
        first, second = np.where(other_before, second_before, before), np.where(other_after, second_after, after)
        probability = np.where(other_before, second_lost, lost) * np.where(other_after, second_gained, gained)
        return first, second, np.asarray(probability / self.exchanged)

    def expected(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sum of P(i, j) over the pixels, weighted: float64 (K, K), rows before, columns after.

        Args:
            weights: float64 (n,), such as hectares.
        """
        scaled: NDArray[np.float64] = self.lost * (weights / self.exchanged)
        together = scaled @ self.gained.astype(np.float64).T
        together[np.diag_indices(len(together))] += self.kept @ weights
        return np.asarray(together)


def joint_probability(before: Floats, after: Floats, change_rate: float) -> JointProbability:
    """The joint probability of the classes at two dates.

    Args:
        before: float32 (K, n) activations, each pixel's summing to 1; K >= 2.
        after: The same of the later date.
        change_rate: r, the fraction of the ground that is expected to change; above 0, below (K - 1) / K.

    Raises:
        ValueError: The rate is out of range.
    """
    classes = len(before)
    odds = np.float32((1 - change_rate) * (classes - 1) / change_rate - 1) if change_rate > 0 else np.float32(0)
    if odds <= 0:
        raise ValueError(f"a change rate of {change_rate} for {classes} classes")
    both, twice_product, apart = before + after, 2 * (before * after), (before - after) ** 2
    least = 1 - _total(np.minimum(before, after))
    level = (least + 2 / odds) / odds
    for _ in range(_ITERATIONS):
        kept = _kept(both, twice_product, apart, level)
        level = np.maximum(1 - _total(kept), _TINY) / odds
    kept = _kept(both, twice_product, apart, level)
    lost, gained = np.maximum(before - kept, 0), np.maximum(after - kept, 0)
    exchanged = np.maximum((_total(lost) + _total(gained)) / 2, _TINY)
    return JointProbability(kept, lost, gained, exchanged)


def _kept(both: Floats, twice_product: Floats, apart: Floats, level: Floats) -> Floats:
    """The smaller root of x^2 - (p + q + l) x + p q, in the form that loses no digits: 2 p q / (p + q + l + root)."""
    raised = both + level
    root = both + raised  # in place from here: half of the time would go into memory for what lies between
    root *= level
    root += apart
    np.sqrt(root, out=root)
    root += raised
    np.maximum(root, _TINY, out=root)
    return np.divide(twice_product, root, out=root)


def _total(values: Floats) -> Floats:
    """Sum over classes, one after the other: numpy's own order, and so the last digit, depends on how many pixels there are."""
    total: Floats = values[0].copy()
    for value in values[1:]:
        total += value
    return total


def _second(values: Floats, number: Codes) -> tuple[Codes, Floats]:
    """Index and value of the second largest of each column, whose largest has this index."""
    others = values.copy()
    others[number.astype(np.intp), np.arange(values.shape[1])] = -1
    return largest(others)
