"""Symbols, expectations, and the decision that every proof rests on: is it zero?

`is_zero` decides by a normal form: logarithms are expanded over the factors of their
arguments and then treated as unknowns, so that what is left is a rational function, and
a rational function is zero if and only if its expanded numerator is.
"""

from __future__ import annotations

from collections.abc import Sequence

import sympy as sp

from vaelib.symbolic.points import Domain, differs, is_defined


def positive(names: str) -> list[sp.Symbol]:
    """Positive symbols, named as for `sympy.symbols` but always in a list."""
    return list(sp.symbols(names, positive=True, seq=True))


def real(names: str) -> list[sp.Symbol]:
    """Real symbols, named as for `sympy.symbols` but always in a list."""
    return list(sp.symbols(names, real=True, seq=True))


def probabilities(name: str, n: int) -> list[sp.Expr]:
    """Symbolic probabilities of n states: a_i / Σ a for free positive a."""
    weights = positive(f"{name}1:{n + 1}")
    return [w / sum(weights) for w in weights]


def mean(probs: Sequence[sp.Expr], values: Sequence[sp.Expr]) -> sp.Expr:
    """E[value] = Σ p_i value_i over a finite support."""
    return sum(p * v for p, v in zip(probs, values, strict=True))


def entropy(probs: Sequence[sp.Expr]) -> sp.Expr:
    """H[p] = −Σ p log p."""
    return -mean(probs, [sp.log(p) for p in probs])


def kl(q: Sequence[sp.Expr], p: Sequence[sp.Expr]) -> sp.Expr:
    """KL(q‖p) = Σ q (log q − log p)."""
    return mean(q, [sp.log(a) - sp.log(b) for a, b in zip(q, p, strict=True)])


def log_normal(x: sp.Expr, loc: sp.Expr, scale: sp.Expr) -> sp.Expr:
    """log N(x; loc, scale²)."""
    return -((x - loc) ** 2) / (2 * scale**2) - sp.log(scale) - sp.log(2 * sp.pi) / 2


def standard_normal_mean(f: sp.Expr, eps: Sequence[sp.Symbol]) -> sp.Expr:
    """E[f(ε)] for independent standard normal ε and f a polynomial in them.

    E[ε^k] is (k − 1)!! for even k and zero for odd k; the ledger proves it by
    integration (`eq-normal-moments`).
    """
    moment = 0
    for powers, coefficient in sp.Poly(sp.expand(f), *eps).terms():
        if not any(k % 2 for k in powers):
            moment += coefficient * sp.prod([sp.factorial2(k - 1) for k in powers])
    return moment


def normal_mean(f: sp.Expr, z: sp.Symbol, loc: sp.Expr, scale: sp.Expr) -> sp.Expr:
    """E[f(z)] for z = loc + scale ε, ε ~ N(0, 1), and f a polynomial in z."""
    eps = sp.Dummy("eps", real=True)
    return standard_normal_mean(f.subs(z, loc + scale * eps), [eps])


class Joint:
    """A joint distribution of a latent with K and an observation with X states.

    `table[z][x]` are symbolic probabilities; the rest follows by summation and
    division.
    """

    def __init__(self, latent: int, observed: int, name: str = "c"):
        flat = probabilities(name, latent * observed)
        self.table = [flat[i * observed : (i + 1) * observed] for i in range(latent)]
        self.prior = [sp.cancel(sum(row)) for row in self.table]
        self.evidence = [sp.cancel(sum(col)) for col in zip(*self.table, strict=True)]

    def joint(self, x: int) -> list[sp.Expr]:
        """p(x, z) for each z."""
        return [row[x] for row in self.table]

    def likelihood(self, x: int) -> list[sp.Expr]:
        """p(x|z) for each z."""
        return [
            sp.cancel(row[x] / p) for row, p in zip(self.table, self.prior, strict=True)
        ]

    def posterior(self, x: int) -> list[sp.Expr]:
        """p(z|x) for each z, by Bayes' rule."""
        return [sp.cancel(row[x] / self.evidence[x]) for row in self.table]


def is_zero(expression: sp.Expr, domain: Domain | None = None) -> bool:
    """True if the expression is identically zero; False if that could not be shown.

    Rounded numbers prove nothing, so an expression that holds a float is refused. What
    only `sympy.simplify` reduces to zero must have values, in `domain`, and all zero.
    """
    expression = _expand_logs(sp.sympify(expression))
    if expression.has(sp.Float):
        return False
    unknowns = {a: sp.Dummy() for a in expression.atoms(sp.log)}
    numerator = sp.numer(sp.together(expression.xreplace(unknowns)))
    if sp.expand(numerator) == 0:
        return True
    if sp.simplify(expression) != 0:
        return False
    domain = domain or {}
    return is_defined(expression, domain=domain) and not differs(expression, domain, 10)


def _expand_logs(expression: sp.Expr) -> sp.Expr:
    logs = {a: _log(a.args[0]) for a in expression.atoms(sp.log)}
    return expression.xreplace(logs)


def _log(argument: sp.Expr) -> sp.Expr:
    return sp.expand_log(sp.log(sp.factor(sp.together(argument))))
