"""The rate's two parts, of the chapter *The KL decomposition*."""

from __future__ import annotations

import sympy as sp

from vaelib.symbolic.algebra import kl, mean, positive
from vaelib.symbolic.ledger import Identity
from vaelib.symbolic.proofs import LOG_TANGENT, SQUARE, All, AtLeast, Equal, Term


def _shares(name, n):
    """Probabilities of n states in the proportions 1 : a_2 : … : a_n, so again any."""
    parts = [sp.Integer(1), *positive(f"{name}2:{n + 1}")]
    return [part / sum(parts) for part in parts]


def _codes(n_data, n_codes):
    """q(z|x_n) for each n, the aggregate q(z), the mutual information of n and z."""
    guides = [_shares(f"q{n}_", n_codes) for n in range(1, n_data + 1)]
    aggregate = [sp.cancel(sum(col) / n_data) for col in zip(*guides, strict=True)]
    return guides, aggregate, sum(kl(q, aggregate) for q in guides) / n_data


def _surgery(information=-1, swapped=False, per_datum=False):
    """The ELBO averaged over N data, its rate split in two."""
    cases = []
    for n_data, n_codes in ((2, 2), (3, 2), (2, 3)):
        guides, aggregate, shared = _codes(n_data, n_codes)
        prior = _shares("p", n_codes)
        liks = [positive(f"l{n}_1:{n_codes + 1}") for n in range(1, n_data + 1)]
        elbos, log_liks = 0, 0
        for q, lik in zip(guides, liks, strict=True):
            log_w = [
                sp.log(p) + sp.log(v) - sp.log(r)
                for p, v, r in zip(prior, lik, q, strict=True)
            ]
            elbos += mean(q, log_w) / n_data
            log_liks += mean(q, [sp.log(v) for v in lik]) / n_data
        pair = (aggregate, prior)
        mismatch = kl(*(reversed(pair) if swapped else pair))
        if per_datum:
            mismatch = sum(kl(q, prior) for q in guides) / n_data
        cases.append((elbos, log_liks + information * shared - mismatch))
    return Equal(cases)


def _index_code_limit(strict=False, reverse=False):
    """0 ≤ I(n; z) ≤ log N, each side as a sum of non-negative terms."""
    parts = []
    refute = strict or reverse  # one false case is enough
    for n_data, n_codes in ((2, 2),) if refute else ((2, 2), (3, 2)):
        guides, aggregate, shared = _codes(n_data, n_codes)
        below, above = [], []
        for n, q in enumerate(guides):
            for z, (r, a) in enumerate(zip(q, aggregate, strict=True)):
                below.append(Term(r / n_data, LOG_TANGENT, sp.cancel(a / r)))
                others = sum(g[z] for m, g in enumerate(guides) if m != n)
                index = sp.cancel(r / (n_data * a))  # q(n|z); 1 − q(n|z) is the rest
                rest = sp.cancel(others / (n_data * a))
                above.append(Term(r / n_data, LOG_TANGENT, index))
                above.append(Term(r * rest / n_data, SQUARE, sp.Integer(1)))
        same = {s: sp.Integer(1) for s in shared.free_symbols}
        sides = (shared, sp.log(n_data)) if reverse else (sp.log(n_data), shared)
        parts.append(
            AtLeast([(shared, sp.Integer(0))], [below], strict=strict, points=[same])
        )
        parts.append(AtLeast([sides], [above]))
    return All(parts)


SURGERY: list[Identity] = [
    Identity(
        label="eq-elbo-surgery",
        statement=r"""\begin{aligned}
\frac1N \sum_{n} \ELBO(\theta, q; x_n) = {}
& \frac1N \sum_{n} \E_{q(z|x_n)}[\log p_\theta(x_n|z)] \\
& - I_q(n; z) - \KL{q(z)}{p(z)}
\end{aligned}""",
        claim=_surgery,
        wrong={
            "the mutual information added": {"information": 1},
            "the mutual information left out": {"information": 0},
            "the mean divergence kept beside it": {"per_datum": True},
            "the arguments of the last divergence exchanged": {"swapped": True},
        },
        assumptions="p(z) > 0 wherever a q(z|x_n) > 0; the index n uniform; all terms "
        "on the right finite",
        scope="2 or 3 data, codes with 2 or 3 states, all probabilities",
        computes="bounds.elbo",
        reference="hoffman2016",
    ),
    Identity(
        label="eq-index-code-limit",
        statement=r"0 \le I_q(n; z) \le \log N",
        claim=_index_code_limit,
        wrong={
            "always greater than zero": {"strict": True},
            "at least log N": {"reverse": True},
        },
        assumptions="the index n uniform on N data",
        scope="2 or 3 data, codes with 2 states, all probabilities",
        reference="hoffman2016",
    ),
]
