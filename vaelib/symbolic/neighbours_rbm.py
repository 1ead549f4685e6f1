"""The identities about the Boltzmann machine in the chapter *The neighbours*.

A weight enters as u = exp(W), so that all probabilities are rational functions and the
derivative in W is u ∂/∂u.
"""

from __future__ import annotations

from itertools import product

import sympy as sp

from vaelib.symbolic.algebra import kl, mean, positive, probabilities
from vaelib.symbolic.ledger import Identity
from vaelib.symbolic.proofs import Equal


class Machine:
    """A machine of P visible and D hidden bits with symbolic exp(W), exp(b), exp(c)."""

    def __init__(self, visible: int, hidden: int, biases: tuple | None = None):
        self.u = [positive(f"u{i}1:{i}{hidden + 1}") for i in range(1, visible + 1)]
        self.b, self.c = positive(f"b1:{visible + 1}"), positive(f"c1:{hidden + 1}")
        if biases:
            self.b, self.c = ([sp.Integer(value)] for value in biases)
        self.xs = list(product((0, 1), repeat=visible))
        self.zs = list(product((0, 1), repeat=hidden))
        self.total = sum(self.joint(x, z) for x in self.xs for z in self.zs)

    def joint(self, x, z):
        """The unnormalised probability, exp of the negative energy."""
        out = sp.Integer(1)
        for i, xi in enumerate(x):
            out *= self.b[i] ** xi
            for j, zj in enumerate(z):
                out *= self.u[i][j] ** (xi * zj)
        return out * sp.prod([c**zj for c, zj in zip(self.c, z, strict=True)])

    def summed(self, x):
        """exp(−F(x)): the hidden bits summed out."""
        return sum(self.joint(x, z) for z in self.zs)

    def hidden_given(self, x):
        return [sp.cancel(self.joint(x, z) / self.summed(x)) for z in self.zs]

    def visible(self):
        """p(x) for all x."""
        return [self.summed(x) / self.total for x in self.xs]

    def chain(self):
        """The probabilities of one round of Gibbs sampling, from x to x′."""
        down = {
            z: [
                self.joint(x, z) / sum(self.joint(y, z) for y in self.xs)
                for x in self.xs
            ]
            for z in self.zs
        }
        return [
            [
                sp.cancel(
                    sum(
                        p * down[z][j]
                        for p, z in zip(self.hidden_given(x), self.zs, strict=True)
                    )
                )
                for j in range(len(self.xs))
            ]
            for x in self.xs
        ]

    def slope(self, f):
        """The derivative in W_11."""
        u = self.u[0][0]
        return sp.cancel(u * sp.diff(f, u))


def _free_energy(sign=1, one=1, bias=True):
    """The sum over the hidden bits, for all x of machines 2×2 and 1×3."""
    cases = []
    for shape in ((2, 2), (1, 3)):
        machine = Machine(*shape)
        for x in reversed(machine.xs):
            right = sp.prod([b**xi for b, xi in zip(machine.b, x, strict=True)])
            for j, c in enumerate(machine.c):
                drive = c if bias else sp.Integer(1)
                for i, xi in enumerate(x):
                    drive *= machine.u[i][j] ** xi
                right *= (one + drive) ** sign
            cases.append((machine.summed(x), right))
    return Equal(cases)


def _gradient(sign=-1, clamped=False, hidden=True):
    """∂ log p(x) / ∂W_11 for all x of machines 1×1, 2×1 and 2×2."""
    cases = []
    for shape in ((2, 1), (1, 1), (2, 2)):
        machine = Machine(*shape)
        for x in reversed(machine.xs):
            left = machine.slope(sp.log(machine.summed(x))) - machine.slope(
                sp.log(machine.total)
            )
            positive_phase = x[0] * sum(
                p
                for p, z in zip(machine.hidden_given(x), machine.zs, strict=True)
                if z[0]
            )
            pairs = [
                (y, z)
                for y in machine.xs
                for z in machine.zs
                if y[0] and (z[0] or not hidden)
            ]
            negative = sum(machine.joint(y, z) for y, z in pairs) / machine.total
            if clamped:
                negative = positive_phase
            cases.append((left, positive_phase + sign * negative))
    return Equal(cases)


def _score(machine):
    """∂ log p(x) / ∂W_11 and −∂F(x) / ∂W_11 for all x."""
    energy = [machine.slope(sp.log(machine.summed(x))) for x in machine.xs]
    rest = machine.slope(sp.log(machine.total))
    return [e - rest for e in energy], energy


def _bias(start=False, zero=False, sign=1):
    """From each x, with the Gibbs chain for k = 1 and 2, and with any other chain."""
    one, two = Machine(1, 1), Machine(2, 1)
    gibbs = sp.Matrix(one.chain())
    other = [probabilities(f"t{i}_", 4) for i in range(4)]
    cases = []
    for machine, chain in ((one, gibbs), (one, gibbs * gibbs), (two, sp.Matrix(other))):
        log_p, energy = _score(machine)
        for i in reversed(range(len(machine.xs))):
            row = list(chain.row(i))
            update = energy[i] - mean(row, energy)
            right = log_p[i] if start else mean(row, log_p)
            right = sp.Integer(0) if zero else sign * right
            cases.append((log_p[i] - update, right))
    return Equal(cases)


def _divergences(correction=-1, other=1):
    """A machine of two bits with b = log 2, c = log 3; any weight, any data."""
    machine = Machine(1, 1, (2, 3))
    data, p = probabilities("s", 2), machine.visible()
    chain = machine.chain()
    one = [sp.cancel(data[0] * chain[0][j] + data[1] * chain[1][j]) for j in (0, 1)]
    energy = _score(machine)[1]
    left = mean(data, energy) - mean(one, energy)
    u = machine.u[0][0]
    change = u * sp.diff(kl(data, p) - other * kl(one, p), u)
    rest = mean(
        [machine.slope(a) for a in one],
        [sp.log(a) - sp.log(b) for a, b in zip(one, p, strict=True)],
    )
    return Equal([(left, correction * rest - change)])


IDENTITIES: list[Identity] = [
    Identity(
        label="eq-rbm-free-energy",
        statement=r"""\begin{aligned}
& \sum_z e^{x^\top W z + b^\top x + c^\top z} = e^{-F(x)} , \\
& F(x) = -b^\top x - \sum_{j=1}^{D}
  \log\bigl( 1 + e^{c_j + (W^\top x)_j} \bigr)
\end{aligned}""",
        claim=_free_energy,
        wrong={
            "the sign of the logarithm": {"sign": -1},
            "without the 1": {"one": 0},
            "without the hidden bias": {"bias": False},
        },
        assumptions="x and z are bits",
        scope="all machines of 2 × 2 and 1 × 3 units, all x",
        computes="models.RBM.free_energy",
        reference="smolensky1986",
    ),
    Identity(
        label="eq-rbm-gradient",
        statement=r"""\frac{\partial}{\partial W_{ij}} \log p(x)
  = x_i\, p(z_j = 1 \mid x) - \E_{p(x', z')}[x'_i z'_j]""",
        claim=_gradient,
        wrong={
            "the phases added": {"sign": 1},
            "both phases at the datum": {"clamped": True},
            "the hidden unit left out": {"hidden": False},
        },
        assumptions="x and z are bits",
        scope="one weight of all machines of 1 × 1, 2 × 1 and 2 × 2 units, all x",
        computes="models.RBM.log_evidence",
        reference="hinton2002",
    ),
    Identity(
        label="eq-cd-bias",
        statement=r"""\begin{aligned}
& \nabla \log p(x) - \E_{x_k|x}\bigl[ \nabla F(x_k) - \nabla F(x) \bigr] \\
& \qquad = \E_{x_k|x}\bigl[ \nabla \log p(x_k) \bigr]
\end{aligned}""",
        claim=_bias,
        wrong={
            "zero: unbiased": {"zero": True},
            "at x instead of x_k": {"start": True},
            "the other sign": {"sign": -1},
        },
        assumptions="∇ differentiates log p and F, not the law of x_k",
        scope="one weight; Gibbs chains of 1 × 1 with k = 1, 2; any chain of 2 × 1",
        computes="models.RBM.expected_contrastive_divergence",
        reference="bengio2009",
    ),
    Identity(
        label="eq-cd-divergences",
        statement=r"""\begin{aligned}
& \E_{p_0(x)}\, \E_{x_1|x}\bigl[ \nabla F(x_1) - \nabla F(x) \bigr] \\
& \qquad = -\nabla \bigl( \KL{p_0}{p} - \KL{p_1}{p} \bigr)
  - \sum_x \bigl( \nabla p_1(x) \bigr) \log \frac{p_1(x)}{p(x)}
\end{aligned}""",
        claim=_divergences,
        wrong={
            "without the last sum": {"correction": 0},
            "the last sum added": {"correction": 1},
            "without the second divergence": {"other": 0},
        },
        assumptions="p_1 is the law of x_1 for x ~ p_0",
        scope="1 × 1 units, biases log 2 and log 3, all weights and data distributions",
        computes="models.RBM.expected_contrastive_divergence",
        reference="hinton2002",
    ),
]
