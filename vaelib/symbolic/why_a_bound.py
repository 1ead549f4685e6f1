"""The identities of the chapter *Why a bound?*"""

from __future__ import annotations

from functools import partial
from itertools import product

import sympy as sp

from vaelib.symbolic.algebra import positive, real
from vaelib.symbolic.ledger import Identity
from vaelib.symbolic.proofs import LOG_TANGENT, SQUARE, All, AtLeast, Equal, Term
from vaelib.symbolic.why_a_bound_sampling import IDENTITIES as SAMPLING

DEFINITIONS: dict[str, str] = {
    "eq-evidence": "the evidence of a latent-variable model",
    "eq-maximum-likelihood": "the aim of maximum likelihood",
    "eq-prior-monte-carlo": "the average of the likelihood over draws from the prior",
    "eq-lower-bound": "a lower bound of a function",
    "eq-residual": "the residual of a bound",
}


def _factorised_sum(right="product"):
    """Σ over {0, 1}^P of Π e^(a_d x_d), with u_d = e^(a_d), for P = 2, 3 and 4."""
    cases = []
    for dim in (2, 3, 4):
        u = positive(f"u1:{dim + 1}")
        states = product((0, 1), repeat=dim)
        left = sum(sp.prod(a**i for a, i in zip(u, s, strict=True)) for s in states)
        factors = {
            "product": sp.prod(1 + a for a in u),
            "sum": sum(1 + a for a in u),
            "no zero": sp.prod(u),
        }
        cases.append((left, factors[right]))
    return Equal(cases)


def _log_gaussian(x, loc, covariance):
    """log N(x; loc, covariance) for column matrices."""
    d = x - loc
    quadratic = (d.T * covariance.inv() * d)[0]
    n = len(x)
    return -(n * sp.log(2 * sp.pi) + sp.log(covariance.det()) + quadratic) / 2


def _linear_gaussian_evidence(noise=2, weight=True):
    """log p(x, z) − log p(z|x) for one and two observed and latent dimensions."""
    sigma = sp.Symbol("sigma", positive=True)
    cases = []
    for p, d in ((2, 1), (1, 1), (1, 2)):
        w = sp.Matrix(p, d, real(f"w1:{p * d + 1}"))
        x, mu = sp.Matrix(real(f"x1:{p + 1}")), sp.Matrix(real(f"mu1:{p + 1}"))
        z = sp.Matrix(real(f"z1:{d + 1}"))
        m = w.T * w + sigma**2 * sp.eye(d)
        joint = _log_gaussian(x, w * z + mu, sigma**2 * sp.eye(p))
        joint += _log_gaussian(z, sp.zeros(d, 1), sp.eye(d))
        posterior = _log_gaussian(z, m.inv() * w.T * (x - mu), sigma**2 * m.inv())
        spread = (w * w.T if weight else sp.zeros(p, p)) + sigma**noise * sp.eye(p)
        cases.append((joint - posterior, _log_gaussian(x, mu, spread)))
    return Equal(cases)


def _variational_log(reverse=False, solution="1/t", sign=1):
    """−log t − (1 + log λ − λ t) = λt − 1 − log λt ≥ 0, and equality at λ = 1/t."""
    t, lam = positive("t lambda")
    line = 1 + sp.log(lam) - sign * lam * t
    at = {"1/t": 1 / t, "t": t}[solution]
    sides = (line, -sp.log(t)) if reverse else (-sp.log(t), line)
    bound = AtLeast([sides], [[Term(1, LOG_TANGENT, lam * t)]])
    return All([bound, Equal([(-sp.log(t), line.subs(lam, at))])])


def _regret(bound="difference", slack=1):
    """Δ(θ*) − Δ(θ_B) − (f(θ*) − f(θ_B)) = B(θ_B) − B(θ*), which is at least zero.

    f(θ*) − f(θ_B) is t² and B(θ_B) − B(θ*) is r², for both points are maxima.
    """
    r, t = real("r t")
    at_top = sp.Symbol("Delta_B", positive=True)
    at_star = at_top + t**2 + slack * r**2
    limits = {
        "difference": at_star - at_top,
        "size": at_top,
        "reversed": at_top - at_star,
    }
    return AtLeast([(limits[bound], t**2)], [[Term(1, SQUARE, r)]])


def _slope_bound(concave="bound", at="star", power=2):
    """Δ′² − m² d² ≥ 0 with d = θ_B − θ*, and the mean second derivatives between them.

    By the fundamental theorem of calculus B′(θ_B) − B′(θ*) = −curve_B d, where curve_B
    is the mean of −B″ on the segment, and the same for f. With f′(θ*) = 0 = B′(θ_B),
    the slope of Δ is −curve_B d at θ* and −curve_f d at θ_B. Strong concavity of one of
    them says that its mean is m + k with k ≥ 0; of the other nothing is known.
    """
    d, other = real("d curvature")
    m, k = sp.Symbol("m", positive=True), sp.Symbol("k", nonnegative=True)
    curve = {"bound": other, "evidence": other, concave: m + k}
    slope = -d * curve[{"star": "bound", "top": "evidence"}[at]]
    terms = [[Term(k * (2 * m + k), SQUARE, d)]]
    return AtLeast([(slope**2, m**power * d**2)], terms, domain={k: (0, 1), m: (0, 1)})


def _quadratic(sign=-1, curvature="bound"):
    """f = −(a/2) t² and Δ = δ + g t + (b/2) t², with t = θ − θ*: where B′ is zero."""
    t, g, delta = real("t g delta")
    a, b = positive("a b")
    bound = -a * t**2 / 2 - (delta + g * t + b * t**2 / 2)
    top = sp.solve(sp.diff(bound, t), t)[0]
    return Equal([(top, sign * g / {"bound": a + b, "evidence": a}[curvature])])


IDENTITIES: list[Identity] = [
    Identity(
        label="eq-factorised-sum",
        statement=r"\sum_{x \in \{0, 1\}^P} \prod_{d=1}^{P} e^{a_d x_d}"
        r" = \prod_{d=1}^{P} \left(1 + e^{a_d}\right)",
        claim=_factorised_sum,
        wrong={
            "a sum of the factors": {"right": "sum"},
            "the states with a zero forgotten": {"right": "no zero"},
        },
        assumptions="a_d real",
        scope="P = 2, 3 and 4",
    ),
    Identity(
        label="eq-linear-gaussian-evidence",
        statement=r"p_\theta(x) = \N\!\left(x;\ \mu,\ W W^\top + \sigma^2 I\right)",
        claim=_linear_gaussian_evidence,
        wrong={
            "σ in place of σ²": {"noise": 1},
            "the latent's share forgotten": {"weight": False},
        },
        assumptions="z ~ N(0, I), x|z ~ N(Wz + μ, σ²I), σ > 0",
        scope="P and D of 2 and 1, 1 and 1, 1 and 2",
        computes="models.LinearGaussian.log_evidence",
        reference="tipping1999",
    ),
    *SAMPLING,
    Identity(
        label="eq-variational-log",
        statement=r"-\log t = \max_{\lambda > 0}\,"
        r"\left\{1 + \log \lambda - \lambda t\right\}",
        claim=_variational_log,
        wrong={
            "a minimum": {"reverse": True},
            "attained at λ = t": {"solution": "t"},
            "a rising line": {"sign": -1},
        },
        assumptions="t > 0; attained at λ = 1/t",
        reference="jordan1999",
    ),
    Identity(
        label="eq-regret",
        statement=r"f(\theta^\star) - f(\theta_B)"
        r" \le \Delta(\theta^\star) - \Delta(\theta_B)",
        claim=_regret,
        wrong={
            "the residual at the bound's maximum": {"bound": "size"},
            "the difference reversed": {"bound": "reversed"},
            "a point that does not maximise the bound": {"slack": -1},
        },
        assumptions="B = f − Δ and θ_B maximises B; nothing smooth, nothing concave",
    ),
    Identity(
        label="eq-slope-bound",
        statement=r"\left|\theta_B - \theta^\star\right|"
        r" \le \frac{\left|\Delta'(\theta^\star)\right|}{m}",
        claim=_slope_bound,
        wrong={
            "f strongly concave, not B": {"concave": "evidence"},
            "the slope at the bound's maximum": {"at": "top"},
            "the root of m": {"power": 1},
        },
        assumptions="smooth f, B; interior maxima; B m-strongly concave between them",
        reference="boyd2004",
    ),
    Identity(
        label="eq-slope-bound-evidence",
        statement=r"\left|\theta_B - \theta^\star\right|"
        r" \le \frac{\left|\Delta'(\theta_B)\right|}{m}",
        claim=partial(_slope_bound, concave="evidence", at="top"),
        wrong={
            "B strongly concave, not f": {"concave": "bound"},
            "the slope at the maximum of f": {"at": "star"},
        },
        assumptions="smooth f, B; interior maxima; f m-strongly concave between them",
        reference="boyd2004",
    ),
    Identity(
        label="eq-quadratic-displacement",
        statement=r"\theta_B - \theta^\star = -\frac{\Delta'(\theta^\star)}{a + b}",
        claim=_quadratic,
        wrong={
            "towards the larger residual": {"sign": 1},
            "the curvature of f in place of B's": {"curvature": "evidence"},
        },
        assumptions="f″ = −a, Δ″ = b, a + b > 0",
    ),
]
