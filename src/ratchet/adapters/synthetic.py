"""Credit-card applicants whose probability of default is known: the data behind `synthetic://credit`."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ratchet.errors import DataError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Shares = tuple[tuple[float, ...], ...]

MAX_ROWS = 100_000_000

GENDERS = ("F", "M")
EDUCATIONS = ("primary", "secondary", "vocational", "university")
HOUSINGS = ("rent", "own", "mortgage", "parents")
OCCUPATIONS = (
    *("employee", "manual", "manager", "civil servant"),
    *("self-employed", "student", "unemployed", "pensioner", "gig"),
)
SELF_EMPLOYED, UNEMPLOYED, PENSIONER, GIG = (
    OCCUPATIONS.index(level) for level in ("self-employed", "unemployed", "pensioner", "gig")
)

# One row of shares per age band: under 26, 26 to 39, 40 to 64, 65 and over; columns in the order above.
AGE_BAND_EDGES = (26, 40, 65)
EDUCATION_SHARES: Shares = (
    (0.10, 0.46, 0.25, 0.19),
    (0.09, 0.32, 0.27, 0.32),
    (0.12, 0.38, 0.28, 0.22),
    (0.22, 0.42, 0.24, 0.12),
)
HOUSING_SHARES: Shares = (
    (0.50, 0.04, 0.06, 0.40),
    (0.46, 0.14, 0.31, 0.09),
    (0.34, 0.30, 0.34, 0.02),
    (0.28, 0.62, 0.09, 0.01),
)
OCCUPATION_SHARES: Shares = (
    (0.24, 0.19, 0.02, 0.06, 0.10, 0.31, 0.08, 0.00),
    (0.32, 0.19, 0.08, 0.13, 0.20, 0.02, 0.06, 0.00),
    (0.29, 0.18, 0.13, 0.12, 0.21, 0.00, 0.05, 0.02),
    (0.04, 0.03, 0.02, 0.01, 0.06, 0.00, 0.00, 0.84),
)

# Factors on the yearly income of a median employee.
MEDIAN_INCOME = 32_000.0
INCOME_BY_GENDER = (0.94, 1.06)
INCOME_BY_EDUCATION = (0.80, 0.92, 1.02, 1.30)
INCOME_BY_OCCUPATION = (1.00, 0.82, 1.90, 1.05, 1.10, 0.38, 0.36, 0.62, 0.70)


@dataclass(frozen=True)
class World:
    """What differs between two periods; all else is common to both."""

    first_id: int
    first_day: str
    n_days: int
    years_younger: float = 0.0
    inflation: float = 1.0
    extra_utilisation: float = 0.0
    gig_share: float = 0.0
    gig_log_odds: float = 0.0
    renter_log_odds: float = 0.0
    late_payment_log_odds: float = 2.5
    # Of a full card, for those who have held their job for two years.
    settled_log_odds: float = 0.0


WORLDS = {
    "first": World(first_id=1, first_day="2023-01-01", n_days=731),
    "later": World(
        first_id=1_000_000_001,
        first_day="2025-01-01",
        n_days=365,
        years_younger=5.0,
        inflation=1.12,
        extra_utilisation=0.1,
        gig_share=0.12,
        gig_log_odds=1.0,
        renter_log_odds=1.0,
        late_payment_log_odds=1.0,
        settled_log_odds=1.5,
    ),
}


def credit(rows: int, seed: int, period: str = "first") -> pd.DataFrame:
    """Applicants for a credit card, one row each, with the true probability that they default.

    rows: 1 to 100,000,000. seed: 0 or more. period: "first" (2023 and 2024), or "later" (2025): younger
    applicants, inflated incomes, fuller cards, the occupation "gig", and effects that have changed.
    The same (rows, seed, period) gives the same frame; ids of the two periods never meet.

    Returns shape (rows, 16), in order of application: applicant_id, applied_at (day), gender (F or M; acts
    through income alone), age (18 to 80 years), income (a year, 6 % missing), employment_years (missing for
    pensioners and unemployed), occupation (8 levels, 5 % missing), education, housing, existing_cards,
    utilisation (share of the limit, 0 to 1.5, 4 % missing), late_payments (0 to 6), months_with_bank,
    requested_limit (currency of income), probability_of_default (within (0, 1)), defaulted (0 or 1).
    The probability follows from the row as shown, gaps included: no model beats its AUC but by luck.
    Raises DataError if rows, seed or period is out of bounds.
    """
    if period not in WORLDS:
        raise DataError(f"synthetic://credit: period {period!r} is unknown; use {' or '.join(WORLDS)}")
    if not 1 <= rows <= MAX_ROWS:
        raise DataError(f"synthetic://credit: rows is {rows}; use 1 to {MAX_ROWS}")
    if not seed >= 0:
        raise DataError(f"synthetic://credit: seed is {seed}; use 0 or more")
    world = WORLDS[period]
    rng = np.random.default_rng([seed, world.first_id])
    applicants = pd.DataFrame(_applicants(rng, rows, world))
    probability = 1 / (1 + np.exp(-_log_odds(applicants, world)))
    applicants["probability_of_default"] = probability
    applicants["defaulted"] = (rng.random(rows) < probability).astype(np.int64)
    return applicants


def _applicants(rng: np.random.Generator, rows: int, world: World) -> dict[str, Any]:
    days = np.sort(rng.integers(0, world.n_days, rows)).astype("timedelta64[D]")
    gender = rng.integers(0, 2, rows)
    age = np.clip(18 + rng.gamma(2.6, 10.0, rows) - world.years_younger, 18, 80).astype(np.int64)
    band = np.digitize(age, AGE_BAND_EDGES)
    education, housing, occupation = (
        _draw(rng, shares, band) for shares in (EDUCATION_SHARES, HOUSING_SHARES, OCCUPATION_SHARES)
    )
    occupation[(age < 65) & (rng.random(rows) < world.gig_share)] = GIG
    income = MEDIAN_INCOME * world.inflation * rng.lognormal(0, 0.4, rows)
    income *= np.take(INCOME_BY_GENDER, gender) * np.take(INCOME_BY_EDUCATION, education)
    income *= np.take(INCOME_BY_OCCUPATION, occupation)
    employment_years = np.minimum(rng.exponential(5.0, rows), age - 17)
    income_withheld = rng.random(rows) < np.where(occupation == SELF_EMPLOYED, 0.12, 0.045)
    occupation_withheld = rng.random(rows) < 0.05
    return {
        "applicant_id": np.arange(rows) + world.first_id,
        "applied_at": np.datetime64(world.first_day, "us") + days,
        "gender": _words(GENDERS, gender),
        "age": age,
        "income": np.where(income_withheld, np.nan, income.round(-1)),
        "employment_years": np.where(
            (occupation == UNEMPLOYED) | (occupation == PENSIONER), np.nan, employment_years.round(1)
        ),
        "occupation": _words(OCCUPATIONS, np.where(occupation_withheld, -1, occupation)),
        "education": _words(EDUCATIONS, education),
        "housing": _words(HOUSINGS, housing),
        **_accounts(rng, age, income, world),
    }


def _accounts(rng: np.random.Generator, age: Ints, income: Floats, world: World) -> dict[str, Any]:
    rows = len(age)
    utilisation = np.clip(1.5 * rng.beta(1.5, 1.7, rows) + world.extra_utilisation, 0, 1.5).round(3)
    months_with_bank = np.minimum(rng.exponential(60, rows), 12 * (age - 17))
    return {
        "existing_cards": rng.poisson(1.3, rows),
        "utilisation": np.where(rng.random(rows) < 0.04, np.nan, utilisation),
        "late_payments": np.minimum(rng.geometric(0.62, rows) - 1, 6),
        "months_with_bank": months_with_bank.astype(np.int64),
        "requested_limit": np.clip((0.15 * income * rng.lognormal(0, 0.5, rows)).round(-2), 500, 50_000),
    }


def _log_odds(applicants: pd.DataFrame, world: World) -> Floats:
    # Few, high, axis-aligned steps: trees find them in 14,000 rows, and no line can follow them.
    names = ("age", "income", "utilisation", "late_payments")
    age, income, utilisation, late_payments = (applicants[name].to_numpy() for name in names)
    settled = (applicants["employment_years"] >= 2).to_numpy()
    rents, owns = ((applicants["housing"] == level).to_numpy() for level in ("rent", "own"))
    self_employed, gig = ((applicants["occupation"] == OCCUPATIONS[i]).to_numpy() for i in (SELF_EMPLOYED, GIG))
    log_odds: Floats = (
        -4.8
        + np.where(settled, world.settled_log_odds, 3.4) * (utilisation > 0.8)
        + np.where(owns, 0.2, world.late_payment_log_odds) * (late_payments >= 1)
        + 1.8 * ((age < 26) | (age >= 58))
        + 2.0 * (self_employed & rents)
        + 2.0 * (income < 22_000)
        + 0.4 * np.isnan(income)
        + world.renter_log_odds * rents
        + world.gig_log_odds * gig
    )
    return log_odds


def _draw(rng: np.random.Generator, shares: Shares, group: Ints) -> Ints:
    upper_edges = np.cumsum(shares, axis=1)[:, :-1].T
    chance = rng.random(len(group))
    codes = np.zeros(len(group), dtype=np.int64)
    for edge in upper_edges:
        codes += chance >= edge[group]
    return codes


def _words(levels: tuple[str, ...], codes: Ints) -> Any:
    # Code -1 takes the last entry, the missing one. Three times quicker than casting a Categorical.
    return pd.array(np.array([*levels, np.nan], dtype=object)[codes], dtype="str")
