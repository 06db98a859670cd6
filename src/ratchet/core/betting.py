"""Evidence by betting that one mean is above another, which holds at every look at once.

Two streams of losses in [0, 1] come in any order and at any rates. For each pair of means (a, b) that the claim
`challenger - champion <= above` allows, a gambler who stakes lambda >= 0 on each row has the wealth

    prod over challenger rows (1 + lambda (y - a))  *  prod over champion rows (1 - lambda' (x - b)),

which is a nonnegative martingale if the means are a and b; so is the mean of such wealths over fixed stakes ("grid
Kelly", Waudby-Smith and Ramdas, Estimating means of bounded random variables by betting, JRSS B 2024, s. 4 and app. B;
its continuous form is Cover's universal portfolio, Orabona and Jun, IEEE Trans. Inf. Theory 2024). The least wealth
over all pairs of the claim never exceeds that at the true pair, so by Ville's inequality it ever reaches 1 / alpha with
probability alpha at most if the claim is true. Stakes are fixed beforehand, so the wealth is a function of how often
each loss was seen: neither the order of the rows nor the number of looks matters.
"""

from dataclasses import dataclass, replace

import numpy as np

CAP = 0.99  # of the stake at which one row could lose everything
RATIO = 1.6  # from one stake to the next
LINKED, ALONE, IDLE = 0.7, 0.1, 0.1  # of the wealth: staked on both arms together, on each alone, and never
TINY = 1e-9


def stakes(smallest: float) -> np.ndarray:
    """Return the differences that are betted on, (K,): from half the smallest one that matters up to 1."""
    low = min(max(smallest / 2, 1e-4), 0.5)
    return low * RATIO ** np.arange(int(np.ceil(np.log(1 / low) / np.log(RATIO))) + 1)


@dataclass(frozen=True)
class Tally:
    """How often each loss was seen, of one rollout or of many at once (runs, R).

    values: (V,) losses in [0, 1]; champion, challenger: (R, V) counts. odds: rows of the challenger that are expected
    for one of the champion.
    """

    odds: float
    values: np.ndarray
    champion: np.ndarray
    challenger: np.ndarray

    def flipped(self) -> "Tally":
        """Return the same with gains for losses, so that what was above is below."""
        return replace(self, values=1 - self.values)


def evidence(tally: Tally, above: float, smallest: float) -> np.ndarray:
    """Return the log wealth against `mean of challenger - mean of champion <= above`, one per run: (R,).

    smallest: the smallest difference that matters, which only places the stakes.
    """
    low, high = max(0.0, -above), min(1.0, 1.0 - above)
    if low > high:  # no two means differ by more than 1: the claim cannot be wrong, or cannot be right
        return np.full(len(tally.champion), -np.inf if above > 0 else np.inf)
    means = _places(tally, above, low, high)
    for _ in range(3):  # of the wealth over b, ever nearer to its least; it may have two dips
        means = np.clip(means, low, high)
        found = wealth(tally, means, above, smallest)
        dips = _dips(found)
        ends = [np.take_along_axis(means, np.clip(dips + by, 0, means.shape[1] - 1), 1) for by in (-1, 1)]
        near = ends[0][:, :, None] + (ends[1] - ends[0])[:, :, None] * np.linspace(0, 1, 13)
        means = near.reshape(len(means), -1)
    return np.asarray(found.min(axis=1))


def _dips(found: np.ndarray) -> np.ndarray:
    """Return where the two lowest of the local least values are, (R, 2)."""
    edge = np.full((len(found), 1), np.inf)
    left, right = np.hstack([edge, found[:, :-1]]), np.hstack([found[:, 1:], edge])
    return np.argsort(np.where((found <= left) & (found <= right), found, np.inf), axis=1)[:, :2]


def wealth(tally: Tally, means: np.ndarray, above: float, smallest: float) -> np.ndarray:
    """Return the log wealth at champion means b, (R, G), with the challenger's at b + above; the same shape."""
    on = stakes(smallest)[:, None, None]
    b = np.clip(means, TINY, 1 - TINY)
    a = np.clip(means + above, TINY, 1 - TINY)
    of_challenger, of_champion = _below(on / (a * (1 - a)), CAP / a), _below(on / (b * (1 - b)), CAP / (1 - b))
    # At the least favourable pair the stakes of both arms, each by its number of rows, are equal.
    linked = _below(tally.odds * of_challenger, CAP / (1 - b))
    up = _log_wealth(tally.values, tally.challenger, a, of_challenger)
    together = up + _log_wealth(tally.values, tally.champion, b, -linked)
    down = _log_wealth(tally.values, tally.champion, b, -of_champion)
    parts = [np.log(LINKED) + together, np.log(ALONE) + up, np.log(ALONE) + down]
    # What is never staked keeps a long good time at one share from outweighing a bad one at the next.
    staked = _log_sum(np.concatenate(parts)) - np.log(len(on))
    return np.asarray(np.logaddexp(staked, np.log(IDLE)))


def _below(stake: np.ndarray, most: np.ndarray) -> np.ndarray:
    """Return a stake that nears its most without reaching it, smoothly, so that the least wealth is easy to find."""
    return np.asarray(1 / np.sqrt(1 / (stake * stake) + 1 / (most * most)))


def one_mean(values: np.ndarray, seen: np.ndarray, means: np.ndarray, smallest: float) -> np.ndarray:
    """Return the log wealth against `the mean is m` or lower, for each m: (G,).

    values, seen: (V,). The one-stream case, with all of the wealth on it.
    """
    m = np.clip(means, TINY, 1 - TINY)[None, :]
    on = stakes(smallest)[:, None, None]
    found = _log_wealth(values, seen[None, :], m, _below(on / (m * (1 - m)), CAP / m))
    return np.asarray(_log_sum(found)[0] - np.log(len(on)))


def _log_sum(parts: np.ndarray) -> np.ndarray:
    """Return log(sum(exp(parts))) over the first axis."""
    most = parts.max(axis=0)
    return np.asarray(most + np.log(np.exp(parts - most).sum(axis=0)))


def _log_wealth(values: np.ndarray, seen: np.ndarray, mean: np.ndarray, stake: np.ndarray) -> np.ndarray:
    """Sum of log(1 + stake (value - mean)) over what was seen. mean: (R, G); stake: (K, R, G); returns (K, R, G)."""
    total = np.zeros(stake.shape)
    for place, value in enumerate(values):
        times = seen[:, place]
        if times.any():
            total += times[:, None] * np.log1p(stake * (value - mean))
    return total


def _places(tally: Tally, above: float, low: float, high: float) -> np.ndarray:
    """Return where the least wealth is looked for first, (R, G), rising: everywhere, and closely about both means."""
    # Denser at the ends, where the stakes change fast.
    spread = low + (high - low) * (1 - np.cos(np.linspace(0, np.pi, 29))) / 2
    everywhere = np.broadcast_to(spread, (len(tally.champion), 29))
    near = np.linspace(-1, 1, 17) * np.abs(np.linspace(-1, 1, 17)) * 6
    parts = [everywhere]
    for seen, shift in ((tally.champion, 0.0), (tally.challenger, above)):
        rows = seen.sum(axis=1, keepdims=True) + 1.0
        mean = (seen @ tally.values[:, None] + 0.5) / rows
        parts.append(mean - shift + near * np.sqrt(mean * (1 - mean).clip(TINY) / rows))
    return np.sort(np.concatenate(parts, axis=1), axis=1)
