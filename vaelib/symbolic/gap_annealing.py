"""Annealed importance sampling both ways: its weights, and the leapfrog step."""

from __future__ import annotations

from itertools import product

import sympy as sp

from vaelib.symbolic.algebra import kl, mean, positive, real
from vaelib.symbolic.ledger import Identity
from vaelib.symbolic.proofs import All, Equal

HALF = sp.Rational(1, 2)
SIZES = ((2, 2), (3, 2), (2, 3))  # states of the latent, T
SCOPE = "all q, f, p(x, z) and kernels with invariant f on 2 states with T = 2 and 3"
SCOPE_3 = SCOPE + "; on 3 states with T = 2, also kernels that are not reversible"


class _Chain:
    """Densities f_0 = q, …, f_T = p(x, z) on a few states, and kernels between them.

    Kernel t is a π + (1 − a) stay, with π ∝ f_t and any a in (0, 1); on three states
    with a circulation on top, so that it leaves π invariant without being reversible.

    Args:
        states, temperatures: K and T.
        adaptive: a depends on the state that the chain is in.
        late: kernel t leaves f_{t−1} invariant.
    """

    def __init__(self, states, temperatures, adaptive=False, late=False, cycle=True):
        self.states, self.last = range(states), temperatures
        q = positive(f"q2:{states + 1}")
        q = [w / (1 + sum(q)) for w in [sp.Integer(1), *q]]
        self.f = [q]
        self.f += [positive(f"f{t}_1:{states + 1}") for t in range(1, temperatures)]
        self.f += [positive(f"c1:{states + 1}")]
        self.evidence = sum(self.f[-1])
        self.kernels = [
            self._kernel(t, t - late, adaptive, cycle) for t in range(1, temperatures)
        ]

    def _kernel(self, t, target, adaptive, cycle):
        pi = [v / sum(self.f[target]) for v in self.f[target]]
        odds = positive(f"a{t}_1:{len(pi) + 1}")
        stay = [1 / (1 + odds[i if adaptive else 0]) for i in self.states]
        flow = sp.Symbol(f"e{t}", positive=True) if cycle and len(pi) == 3 else 0
        return [
            [
                (1 - stay[i]) * pi[j]
                + (stay[i] - flow / pi[i] if i == j else 0)
                + (flow / pi[i] if j == (i + 1) % 3 else 0)
                for j in self.states
            ]
            for i in self.states
        ]

    def paths(self):
        return product(self.states, repeat=self.last)

    def forward(self, path):
        prob = self.f[0][path[0]]
        for t, kernel in enumerate(self.kernels):
            prob *= kernel[path[t]][path[t + 1]]
        return prob

    def reverse(self, path, start="posterior", turned=True):
        """The path's probability from its end to its start, by the reversed kernels."""
        ends = self.f[0] if start == "guide" else self.f[-1]
        prob = ends[path[-1]] / sum(ends)
        for t, kernel in enumerate(self.kernels):
            i, j, f = path[t], path[t + 1], self.f[t + 1]
            prob *= kernel[i][j] * f[i] / f[j] if turned else kernel[j][i]
        return prob

    def weight(self, path, after=False):
        """ŵ: the ratio t at z_{t−1}, or wrongly at the state after the next move."""
        where = [*path[1:], path[-1]] if after else path
        ratios = [
            self.f[t + 1][z] / self.f[t][z]
            for t, z in zip(range(self.last), where)  # noqa: B905
        ]
        return sp.prod(ratios)


def _ratio(forwards=False, evidence=1):
    """ŵ 𝓕 = p(x) 𝓡 for each path."""
    cases = []
    for states, temperatures in SIZES:
        chain = _Chain(states, temperatures)
        for path in chain.paths():
            turned = chain.reverse(path, turned=not forwards)
            right = chain.evidence**evidence * turned
            cases.append((chain.weight(path), right / chain.forward(path)))
    return Equal(cases)


def _mean(after=False, adaptive=False, late=False):
    """E_𝓕[ŵ] = p(x), by enumerating the paths."""
    cases = []
    for states, temperatures in SIZES:
        chain = _Chain(states, temperatures, adaptive, late)
        left = sum(chain.forward(p) * chain.weight(p, after) for p in chain.paths())
        cases.append((left, chain.evidence))
    return Equal(cases)


def _reverse(start="posterior", adaptive=False, power=-1):
    """E_𝓡[1/ŵ] = 1/p(x)."""
    cases = []
    for states, temperatures in SIZES:
        chain = _Chain(states, temperatures, adaptive)
        left = sum(
            chain.reverse(p, start, not adaptive) * chain.weight(p) ** power
            for p in chain.paths()
        )
        cases.append((left, chain.evidence**power))
    return Equal(cases)


def _sandwich(swapped=False, sign=1, start="posterior"):
    """Both means of log ŵ, and what lies between them and log p(x)."""
    cases = []
    for states, temperatures in ((2, 2), (3, 2)):
        chain = _Chain(states, temperatures, cycle=False)
        paths = list(chain.paths())
        forward = [chain.forward(p) for p in paths]
        back = [chain.reverse(p) for p in paths]
        log_w = [sp.log(chain.weight(p)) for p in paths]
        log_p = sp.log(chain.evidence)
        below, above = kl(forward, back), kl(back, forward)
        if swapped:
            below, above = above, below
        used = [chain.reverse(p, start) for p in paths]
        cases.append((mean(forward, log_w), log_p - below))
        cases.append((mean(used, log_w), log_p + sign * above))
    return Equal(cases)


def _leapfrog(z, v, eps, slope, first=HALF, fresh=True):
    half = [a + first * eps * g for a, g in zip(v, slope(z), strict=True)]
    new = [sp.expand(a + eps * b) for a, b in zip(z, half, strict=True)]
    slopes = slope(new) if fresh else slope(z)
    return new, [sp.expand(a + eps * g / 2) for a, g in zip(half, slopes, strict=True)]


def _leapfrog_map(first=HALF, fresh=True, flip=-1):
    """There and back with the velocity turned round; and the volume of the map."""
    returns, volumes, (eps,) = [], [], positive("epsilon")
    for dim, degree in ((1, 3), (2, 2)):
        z, v = real(f"z1:{dim + 1}"), real(f"v1:{dim + 1}")
        powers = [k for k in product(range(degree + 1), repeat=dim) if sum(k) <= degree]
        coefficients = real(f"c0:{len(powers)}")
        log_f = sum(
            c * sp.prod([a**k for a, k in zip(z, p, strict=True)])
            for c, p in zip(coefficients, powers, strict=True)
        )
        slopes = [sp.diff(log_f, a) for a in z]

        def slope(at, z=z, slopes=slopes):
            values = dict(zip(z, at, strict=True))
            return [g.subs(values, simultaneous=True) for g in slopes]

        there = _leapfrog(z, v, eps, slope, first, fresh)
        matrix = sp.Matrix([*there[0], *there[1]]).jacobian([*z, *v])
        volumes.append((matrix.det(method="berkowitz"), sp.Integer(1)))
        turned = there[0], [flip * a for a in there[1]]
        back = _leapfrog(*turned, eps, slope, first, fresh)
        returns += list(zip(back[0], z, strict=True))
        returns += [(flip * a, b) for a, b in zip(back[1], v, strict=True)]
    return All([Equal(returns), Equal(volumes)])


IDENTITIES: list[Identity] = [
    Identity(
        label="eq-annealed-ratio",
        statement=r"\hat w = p_\theta(x)\, "
        r"\frac{\mathcal{R}(z_{0:T-1})}{\mathcal{F}(z_{0:T-1})}",
        claim=_ratio,
        wrong={
            "the same kernels on the way back": {"forwards": True},
            "without the evidence": {"evidence": 0},
            "the evidence in the denominator": {"evidence": -1},
        },
        assumptions="each K_t leaves f_t invariant; all densities positive",
        scope=SCOPE_3,
        reference="neal2001",
    ),
    Identity(
        label="eq-annealed-mean",
        statement=r"\E_{\mathcal{F}}[\hat w] = p_\theta(x)",
        claim=_mean,
        wrong={
            "each ratio taken after the move": {"after": True},
            "kernels that adapt to their own chain": {"adaptive": True},
            "kernels that are one temperature late": {"late": True},
        },
        assumptions="each K_t leaves f_t invariant; all densities positive",
        scope=SCOPE_3,
        reference="neal2001",
    ),
    Identity(
        label="eq-annealed-reverse",
        statement=r"\E_{\mathcal{R}}\!\left[ \frac{1}{\hat w} \right]"
        r" = \frac{1}{p_\theta(x)}",
        claim=_reverse,
        wrong={
            "chains that start at the guide": {"start": "guide"},
            "kernels that adapt to their own chain": {"adaptive": True},
            "the mean of the weight": {"power": 1},
        },
        assumptions="each K_t leaves f_t invariant; all densities positive",
        scope=SCOPE_3,
        reference="grosse2015",
    ),
    Identity(
        label="eq-annealed-sandwich",
        statement=r"""\begin{aligned}
\E_{\mathcal{F}}[\log \hat w] &= \log p_\theta(x) - \KL{\mathcal{F}}{\mathcal{R}} \\
\E_{\mathcal{R}}[\log \hat w] &= \log p_\theta(x) + \KL{\mathcal{R}}{\mathcal{F}}
\end{aligned}""",
        claim=_sandwich,
        wrong={
            "both divergences the other way round": {"swapped": True},
            "both below": {"sign": -1},
            "reverse chains that start at the guide": {"start": "guide"},
        },
        assumptions="each K_t leaves f_t invariant; all densities positive",
        scope="all q, f, p(x, z) on 2 and 3 states with T = 2, and kernels that stay "
        "or draw anew",
        reference="grosse2015",
    ),
    Identity(
        label="eq-leapfrog-map",
        statement=r"(F \circ L_\tau) \circ (F \circ L_\tau)"
        r" = \mathrm{id}, \qquad \det \mathrm{D} L_\tau = 1",
        claim=_leapfrog_map,
        wrong={
            "a whole first step of the velocity": {"first": sp.Integer(1)},
            "both slopes at the old place": {"fresh": False},
            "the velocity not turned round": {"flip": 1},
        },
        assumptions="log f twice differentiable",
        scope="every polynomial log f of degree 3 for D = 1 and of degree 2 for D = 2",
        reference="neal2011",
    ),
]
