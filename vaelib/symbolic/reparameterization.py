"""The identities of the chapter *The reparameterization trick*."""

from __future__ import annotations

import sympy as sp

from vaelib.symbolic.algebra import (
    normal_mean,
    positive,
    real,
    standard_normal_mean,
)
from vaelib.symbolic.ledger import Identity
from vaelib.symbolic.proofs import Equal
from vaelib.symbolic.reparameterization_scatter import COSINES, RARE, STL_VARIANCE
from vaelib.symbolic.reparameterization_scores import (
    LOG_Q,
    QUARTIC,
    SCORES,
    integral,
)

DEFINITIONS: dict[str, str] = {}

_z, _mu, _eps = real("z mu epsilon")
(_sigma,) = positive("sigma")


def _score_dimension(
    plain=lambda d: (d + 2) * (d + 4), best=lambda d: 2 * (d + 2), path=lambda d: 4
):
    """Variances for one coordinate of θ = 0 and f(z) = ‖z‖², in 1 to 5 dimensions.

    Each side is a polynomial in D of degree two at most, so three would be enough.
    """
    cases = []
    for d in (2, 1, 3, 4, 5):
        eps = real(f"e1:{d + 1}")
        f = sum(e**2 for e in eps)
        baseline = standard_normal_mean(f * eps[0] ** 2, eps)
        variances = [
            standard_normal_mean(g**2, eps)  # each g has mean zero at θ = 0
            for g in (f * eps[0], (f - baseline) * eps[0], 2 * eps[0])
        ]
        rights = plain(d), best(d), path(d)
        cases += zip(variances, rights, strict=True)
    return Equal(cases)


def _pathwise(chain="f'(z) dT", noise="fixed"):
    """The mean by integration, then its slope; and the mean of the slope at fixed ε."""
    whole, slope, cases = integral(QUARTIC), sp.diff(QUARTIC, _z), []
    speeds = {"fixed": (sp.Integer(1), _eps), "lost": (1, sp.Integer(1))}[noise]
    for v, speed in zip((_mu, _sigma), speeds, strict=True):
        inside = {
            "f'(z) dT": slope * speed,
            "f(z) dT": QUARTIC * speed,
            "f'(mean) dT": slope.subs(_z, _mu) * speed,
        }[chain]
        right = standard_normal_mean(inside.subs(_z, _mu + _sigma * _eps), [_eps])
        cases.append((sp.diff(whole, v), right))
    (rate,), a, u = positive("lambda"), real("b0:3"), sp.Symbol("u", positive=True)
    f = sum(c * _z**k for k, c in enumerate(a))
    density = rate * sp.exp(-rate * _z)
    left = sp.diff(sp.integrate(sp.expand(f * density), (_z, 0, sp.oo)), rate)
    moved = sp.diff(f.subs(_z, -sp.log(u) / rate), rate)
    if chain == "f'(z) dT" and noise == "fixed":
        cases.append((left, sp.integrate(sp.expand(moved), (u, 0, 1))))
    return Equal(cases)


def _parts(sign=-1, speed=1, concrete=False):
    """f ∂q/∂φ = q f′ v − d/dz [f q v], for any f, noise density and monotone map.

    The map is given by its inverse E: ε = E(z, φ), so q = p(E) ∂E/∂z, and at fixed ε
    the sample moves by v = −(∂E/∂φ) / (∂E/∂z).
    """
    phi = sp.Symbol("phi", real=True)
    f, inverse = sp.Function("f")(_z), sp.Function("E")(_z, phi)
    density = sp.Function("p")(inverse)
    if concrete:
        f, inverse = _z**2 + _z, _z * sp.exp(-phi) - phi
        density = sp.exp(-(inverse**2) / 2) / sp.sqrt(2 * sp.pi)
    q = density * sp.diff(inverse, _z)
    v = -speed * sp.diff(inverse, phi) / sp.diff(inverse, _z)
    right = q * sp.diff(f, _z) * v + sign * sp.diff(f * q * v, _z)
    return Equal([(f * sp.diff(q, phi), right)])


def _stl(drop="score", side=1):
    """The ELBO's slope, and the mean of ∂T/∂φ ∇ log w with φ held fixed in log w."""
    entropy = sp.log(_sigma) + sp.log(2 * sp.pi) / 2 + sp.Rational(1, 2)
    whole, cases = integral(QUARTIC) + entropy, []
    log_w = QUARTIC - (LOG_Q if drop == "score" else 0)
    for v, speed in ((_mu, 1), (_sigma, (_z - _mu) / _sigma)):
        inside = side * sp.diff(log_w, _z) * speed
        if drop == "path":
            inside = -sp.diff(LOG_Q, v)  # z detached: only the score is left
        right = normal_mean(sp.expand(inside), _z, _mu, _sigma)
        cases.append((sp.diff(whole, v), right))
    return Equal(cases)


def _cholesky(transposed=False, sign=-1):
    """log N(μ + Lε; μ, LLᵀ) = log N(ε; 0, I) − log det L for D = 1, 2, 3."""
    cases = []
    for d in (2, 1, 3):
        eps = sp.Matrix(real(f"e1:{d + 1}"))
        factor = sp.Matrix(d, d, _entry)
        shift = factor * eps
        square = factor.T * factor if transposed else factor * factor.T
        constant = -sp.Rational(d, 2) * sp.log(2 * sp.pi)
        quadratic = (shift.T * square.inv() * shift)[0]
        left = constant - sp.log(square.det()) / 2 - quadratic / 2
        logs = sum(sp.log(factor[i, i]) for i in range(d))
        right = constant - (eps.T * eps)[0] / 2 + sign * logs
        cases.append((left, right))
    return Equal(cases)


def _entry(i, j):
    """Of a lower triangular matrix with a positive diagonal."""
    kind = {"positive": True} if i == j else {"real": True}
    return sp.Symbol(f"L{i + 1}{j + 1}", **kind) if i >= j else sp.Integer(0)


def _inverse_cdf(sign=-1, density=1):
    """Logistic, exponential, Pareto, Weibull and Gumbel families.

    Each is also held against F(T(u)) = u, where u = 1 − e^{−w} if T is written in w.
    """
    (u, t, w), (a, s) = positive("u t w"), positive("a s")
    odds = sp.log(u) - sp.log(1 - u)
    families = [  # T, F(t), parameters
        (_mu + s * odds, 1 / (1 + sp.exp(-(t - _mu) / s)), (_mu, s)),
        (w / a, 1 - sp.exp(-a * t), (a,)),
        (sp.exp(w / a), 1 - t ** (-a), (a,)),
        (s * w ** (1 / a), 1 - sp.exp(-((t / s) ** a)), (a, s)),
        (_mu - s * sp.log(-sp.log(u)), sp.exp(-sp.exp(-(t - _mu) / s)), (_mu, s)),
    ]
    cases = []
    for inverse, cdf, parameters in families:
        cases.append((cdf.subs(t, inverse), 1 - sp.exp(-w) if inverse.has(w) else u))
        for v in parameters:
            right = sign * sp.diff(cdf, v) / sp.diff(cdf, t) ** density
            cases.append((sp.diff(inverse, v), right.subs(t, inverse)))
    return Equal(cases, domain={u: (0, 1)})


IDENTITIES: list[Identity] = [
    SCORES[0],
    Identity(
        label="eq-pathwise",
        statement=r"\nabla_\phi \E_{q}[f(z)]"
        r" = \E_{p(\varepsilon)}\big[ \nabla_\phi f(T(\varepsilon, \phi)) \big]",
        claim=_pathwise,
        wrong={
            "the noise lost from the slope in the scale": {"noise": "lost"},
            "f in place of its slope": {"chain": "f(z) dT"},
            "the slope at the mean, not the mean of the slope": {
                "chain": "f'(mean) dT"
            },
        },
        assumptions="z = T(ε, φ) with ε free of φ; f and T differentiable, f without "
        "jumps, and the derivative may be taken inside the integral",
        scope="Gaussian q, its mean and scale, f of degree 4; exponential q, f of "
        "degree 2",
        computes="estimators.pathwise",
        value=lambda: _pathwise().cases[1][1],
        reference="kingma2014",
    ),
    Identity(
        label="eq-pathwise-parts",
        statement=r"f \, \frac{\partial q_\phi}{\partial \phi}"
        r" = q_\phi\, f' \, v_\phi"
        r" - \frac{\partial}{\partial z} \big[ f\, q_\phi \, v_\phi \big]",
        claim=_parts,
        wrong={
            "a plus before the derivative": {"sign": 1, "concrete": True},
            "the velocity turned round": {"speed": -1, "concrete": True},
        },
        assumptions="z = T(ε, φ) increasing in ε; v(z) is ∂T/∂φ at the ε that gives z",
        scope="one dimension; any differentiable f, noise density and map",
    ),
    *SCORES[1:],
    Identity(
        label="eq-score-dimension",
        statement=r"\begin{aligned} \Var[g_{\text{score}}] &= (D + 2)(D + 4), \\"
        r" \Var[g_{b^*}] &= 2\,(D + 2), \\ \Var[g_{\text{path}}] &= 4 \end{aligned}",
        claim=_score_dimension,
        wrong={
            "the other coordinates forgotten": {"plain": lambda d: 15},
            "the best baseline as good as the path": {"best": lambda d: 4},
            "a path that suffers from the other coordinates": {"path": lambda d: 4 * d},
        },
        assumptions="z ~ N(θ, I) in D dimensions, f(z) = ‖z‖², one coordinate of the "
        "gradient at θ = 0; b* is the best baseline for that coordinate",
        scope="D = 1 to 5; polynomials in D of degree two, so every D",
    ),
    *COSINES,
    *RARE,
    Identity(
        label="eq-stl",
        statement=r"\nabla_\phi \ELBO = \E_{p(\varepsilon)}\Big["
        r" \nabla_\phi T(\varepsilon, \phi)\;"
        r" \nabla_z \log w(z) \big|_{z = T(\varepsilon, \phi)} \Big]",
        claim=_stl,
        wrong={
            "log q left out, not held fixed": {"drop": "log q"},
            "the sample held fixed, not log q": {"drop": "path"},
            "the sign turned round": {"side": -1},
        },
        assumptions="z = T(ε, φ); in log w = log p(x, z) − log q(z) the parameters of "
        "q are held fixed",
        scope="Gaussian q, its mean and scale, log-joint of degree 4",
        computes="estimators.sticking_the_landing",
        value=lambda: _stl().cases[1][1],
        reference="roeder2017",
    ),
    STL_VARIANCE,
    Identity(
        label="eq-pathwise-cholesky",
        statement=r"\log \N(\mu + L\varepsilon;\, \mu,\, L L^\top)"
        r" = \log \N(\varepsilon;\, 0,\, I) - \log \det L",
        claim=_cholesky,
        wrong={
            "the covariance LᵀL": {"transposed": True},
            "a plus before the determinant": {"sign": 1},
            "the determinant forgotten": {"sign": 0},
        },
        assumptions="L lower triangular with a positive diagonal",
        scope="D = 1, 2 and 3",
    ),
    Identity(
        label="eq-pathwise-inverse-cdf",
        statement=r"\nabla_\phi T(u, \phi)"
        r" = -\frac{\nabla_\phi F_\phi(z)}{q_\phi(z)}"
        r" \bigg|_{z = T(u, \phi)}, \qquad F_\phi(T(u, \phi)) = u",
        claim=_inverse_cdf,
        wrong={
            "the sign lost": {"sign": 1},
            "not divided by the density": {"density": 0},
        },
        assumptions="F differentiable and increasing in z",
        scope="logistic, exponential, Pareto, Weibull and Gumbel, every parameter",
        reference="figurnov2018",
    ),
]
