"""Values at random admissible points: what refutes, and what a proof must survive.

A value counts only where it is a finite number and stays what it is when evaluated with
more digits. Where an expression is undefined, or lost its digits, nothing follows from
it.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from fractions import Fraction

import mpmath
import sympy as sp
from sympy.core.function import AppliedUndef

DIGITS = 40  # of precision in a numerical evaluation
NONZERO = sp.Float("1e-25", DIGITS)  # far above the rounding of 40 digits
BINDING = (sp.Integral, sp.Sum, sp.Product, sp.Derivative, sp.Limit, sp.Subs)
KNOWN = 20  # bits of a value that must be certain before it counts

Domain = dict[sp.Symbol, tuple[Fraction | int, Fraction | int]]


def random_point(
    symbols: set[sp.Symbol], rng: random.Random, domain: Domain
) -> dict[sp.Symbol, sp.Rational]:
    """Random rational values: in `domain` where given, else in (0, 3) or (−2, 2).

    Raises:
        ValueError: if a symbol's domain holds values that its assumptions exclude.
    """
    point = {}
    for symbol in sorted(symbols, key=str):
        if symbol in domain:
            low, high = domain[symbol]
        elif symbol.is_nonnegative:
            low, high = 0, 3
        else:
            low, high = (-3, 0) if symbol.is_nonpositive else (-2, 2)
        low, high = sp.Rational(low), sp.Rational(high)
        if symbol.is_integer:
            point[symbol] = sp.Integer(rng.randint(sp.ceiling(low) + 1, sp.floor(high)))
        else:
            fraction = sp.Rational(rng.randint(1, 999), 1000)
            point[symbol] = low + (high - low) * fraction
    check_admissible(point)
    return point


def check_admissible(point: dict[sp.Symbol, sp.Expr]) -> None:
    """Raise ValueError if a value contradicts what its symbol is assumed to be."""
    for symbol, value in point.items():
        value = sp.sympify(value)
        for fact, expected in symbol.assumptions0.items():
            found = getattr(value, f"is_{fact}")
            if fact != "commutative" and found is not None and found != expected:
                wanted = fact if expected else f"not {fact}"
                raise ValueError(f"{symbol}: expected a {wanted} value, got {value}")


def evaluate(
    expression: sp.Expr, point: dict[sp.Symbol, sp.Expr], digits: int = DIGITS
) -> sp.Expr:
    """The value of the expression at the point, to this many digits."""
    expression = sp.sympify(expression)
    if expression.has(*BINDING):
        return expression.subs(point).doit().evalf(digits)
    values = {symbol: sp.sympify(value) for symbol, value in point.items()}
    return expression.xreplace(values).doit().evalf(digits)  # 20 times as fast


def number(
    expression: sp.Expr, point: dict[sp.Symbol, sp.Expr], digits: int = DIGITS
) -> sp.Expr | None:
    """The value at the point if it is a finite number of known digits, else None."""
    value = evaluate(expression, point, digits)
    if not value.is_number or not value.is_finite:
        return None
    parts = [_known(part) for part in value.as_real_imag()]
    return None if None in parts else parts[0] + sp.I * parts[1]


def _known(part: sp.Expr) -> sp.Expr | None:
    if not part.is_Float:
        return part if part.is_Rational else None
    if part._prec >= KNOWN:
        return part
    return sp.Integer(0) if abs(part) < NONZERO else None


def is_arbitrary(function: sp.Function) -> bool:
    """Whether it stands for any function of its kind.

    That is an undefined one, or a class of our own that declares how it behaves.
    """
    known = type(function).__module__ or ""
    return isinstance(function, AppliedUndef) or not known.startswith("sympy.")


def find(
    expression: sp.Expr,
    domain: Domain,
    bad: Callable[[sp.Expr], bool],
    tries: int = 40,
) -> bool:
    """Whether a random admissible point makes the value bad; seeded, so repeatable."""
    rng = random.Random(0)
    expression = sp.sympify(expression)
    suspicious = _screen(expression, bad)
    for _ in range(tries):
        point = random_point(expression.free_symbols, rng, domain)
        if not suspicious(point):
            continue
        value = number(expression, point)
        if value is not None and bad(value) and _stays(expression, point, value):
            return True
    return False


def _screen(
    expression: sp.Expr, bad: Callable[[sp.Expr], bool]
) -> Callable[[dict[sp.Symbol, sp.Expr]], bool]:
    """Whether a compiled evaluation, far quicker than sympy's own, looks bad or fails.

    It only decides where it is worth while to look; what is found there is sympy's.
    """
    symbols = sorted(expression.free_symbols, key=str)
    try:
        compiled = sp.lambdify(symbols, expression, "mpmath", cse=True)
    except Exception:  # whatever cannot be compiled is evaluated by sympy
        return lambda point: True

    def suspicious(point: dict[sp.Symbol, sp.Expr]) -> bool:
        with mpmath.workdps(DIGITS):
            try:
                values = (mpmath.mpf(point[s].p) / point[s].q for s in symbols)
                value = compiled(*values)
                return not mpmath.isfinite(value) or bad(sp.sympify(value))
            except Exception:
                return True

    return suspicious


def negative(value: sp.Expr) -> bool:
    """A real value that is certainly below zero."""
    return bool(value.is_real) and bool(value < -NONZERO)


def differs(difference: sp.Expr, domain: Domain, tries: int = 3) -> bool:
    """Whether the difference is certainly not zero at one of a few random points."""
    return find(difference, domain, lambda v: abs(v) > NONZERO, tries)


def is_defined(*expressions: sp.Expr, domain: Domain) -> bool:
    """Whether all have a value at a common random point.

    Expressions in arbitrary functions have no values and pass. Floats, whose digits are
    few, do not.
    """
    together = sp.Tuple(*expressions)
    if together.has(sp.Float):
        return False
    if any(is_arbitrary(f) for f in together.atoms(sp.Function)):
        return True
    rng = random.Random(0)
    for _ in range(10):
        point = random_point(together.free_symbols, rng, domain)
        if all(_stays(e, point, number(e, point)) for e in expressions):
            return True
    return False


def _stays(expression: sp.Expr, point: dict, value: sp.Expr | None) -> bool:
    """Whether there is a value, and more digits give the same one."""
    if value is None:
        return False
    again = number(expression, point, DIGITS + 20)
    return again is not None and bool(abs(value - again) <= NONZERO * (1 + abs(value)))
