"""The interactive figures: driven in a browser, their numbers are those of vaelib."""

from __future__ import annotations

import math

import pytest
import torch
from playwright.sync_api import Browser, Page
from torch import distributions as td

from browser import find_browser, open_browser
from vaelib import bounds, data, divergences, interactive, models
from vaelib.quadrature import gauss_hermite, gauss_legendre

pytestmark = pytest.mark.skipif(
    find_browser() is None, reason="install Chromium (Debian: chromium) to run this"
)
F64 = torch.float64
DECODER = models.mlp(2, 5, 64)
SILU = models.mlp(2, 7, 6, 64, activation=torch.nn.SiLU)
DIGITS = data.digits()


def build() -> dict[str, interactive.Interactive]:
    codes = torch.linspace(-2, 2, 20).reshape(10, 2)
    return {
        "elbo": interactive.elbo(),
        "correlation": interactive.correlation(),
        "residual": interactive.residual(),
        "gradients": interactive.gradients(),
        "latent": interactive.latent(DECODER, codes, list(range(10))),
        "latent with SiLU": interactive.latent(SILU, codes, list(range(10))),
    }


@pytest.fixture(scope="module")
def browser():
    with open_browser() as opened:
        yield opened


@pytest.fixture
def page(browser: Browser, request, tmp_path):
    """A page that holds the figure named by the test's parameter; no errors on it."""
    figure = build()[request.param]
    file = tmp_path / "page.html"
    file.write_text(
        "<!doctype html><meta charset='utf-8'>" + figure._repr_html_(), encoding="utf-8"
    )
    opened = browser.new_page(viewport={"width": 800, "height": 700})
    errors: list[str] = []
    opened.on("console", lambda message: errors.append(message.text))
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.on("request", lambda r: r.url.startswith("file:") or errors.append(r.url))
    opened.goto(file.as_uri())
    yield opened
    opened.close()
    assert errors == []


def of(name: str):
    return pytest.mark.parametrize("page", [name], indirect=True)


def shown(page: Page, name: str) -> float:
    node = page.locator(f"[data-name={name}]")
    value = float(node.get_attribute("data-value"))
    text = node.inner_text().replace("\u2212", "-")
    assert abs(float(text) - value) <= 0.00051, "the text is not the value"
    return value


def press(page: Page, name: str, key: str, times: int) -> float:
    """Focus a slider, press a key, and say where the slider is then."""
    slider = page.locator(f"input[name={name}]")
    slider.focus()
    for _ in range(times):
        page.keyboard.press(key)
    return float(slider.input_value())


def drag(page: Page, plot: int, start: tuple[float, float], end: tuple[float, float]):
    """With the mouse, between two places given as fractions of a plot."""
    box = page.locator(".interactive svg").nth(plot).bounding_box()
    spots = [
        (box["x"] + u * box["width"], box["y"] + v * box["height"])
        for u, v in (start, end)
    ]
    page.mouse.move(*spots[0])
    page.mouse.down()
    page.mouse.move(*spots[1], steps=5)
    page.mouse.up()


def exact_elbo(mean: float, scale: float) -> tuple[float, float, float, float]:
    """log p(x), ELBO, EUBO and KL(q‖posterior), by quadrature over log-weights."""
    x = torch.tensor([1.2], dtype=F64)
    prior = td.Normal(torch.zeros(1, dtype=F64), 1.0)
    q = td.Normal(torch.full((1,), mean, dtype=F64), scale)
    total = 1 + 0.7**2
    posterior = td.Normal(x / total, 0.7 / total**0.5)

    def log_w(z):
        log_lik = td.Normal(z, 0.7).log_prob(x)
        return log_lik + prior.log_prob(z) - q.log_prob(z)

    nodes, weights = (v.to(F64) for v in gauss_hermite(64))
    z_q = q.mean + q.scale * nodes
    z_p = posterior.mean + posterior.scale * nodes
    elbo = bounds.elbo(log_w(z_q), weights)
    eubo = bounds.elbo(log_w(z_p), weights)  # the same average, under the posterior
    evidence = td.Normal(torch.zeros_like(x), total**0.5).log_prob(x)
    return tuple(float(v) for v in (evidence, elbo, eubo, divergences.kl(q, posterior)))


@of("elbo")
def test_the_split_of_the_evidence(page: Page):
    def check(mean, scale):
        evidence, elbo, eubo, kl = exact_elbo(mean, scale)
        assert shown(page, "log_evidence") == pytest.approx(evidence, abs=1e-9)
        page.locator("input[value=reverse]").check()
        assert shown(page, "bound") == pytest.approx(elbo, abs=1e-9)
        assert shown(page, "divergence") == pytest.approx(kl, abs=1e-9)
        page.locator("input[value=forward]").check()
        assert shown(page, "bound") == pytest.approx(eubo, abs=1e-9)
        assert shown(page, "divergence") == pytest.approx(eubo - evidence, abs=1e-9)

    check(1.6, 0.9)
    mean = press(page, "mean", "ArrowLeft", 40)
    scale = press(page, "scale", "ArrowRight", 30)
    assert (mean, scale) == (1.2, 1.2)
    check(mean, scale)
    drag(page, 0, (0.7, 0.5), (0.4, 0.6))
    moved = [
        float(page.locator(f"input[name={n}]").input_value()) for n in ("mean", "scale")
    ]
    assert moved[0] < 0.2 and moved != [mean, scale]
    check(*moved)


@of("correlation")
@torch.no_grad()
def test_the_bad_bound(page: Page):
    def check(rho, x):
        a, s = rho, math.sqrt(1 - rho**2)
        model = models.LinearGaussian(
            torch.tensor([[a]], dtype=F64), torch.zeros(1, dtype=F64), s
        )
        posterior = model.posterior(torch.tensor([[x]], dtype=F64))
        prior = td.Independent(td.Normal(torch.zeros(1, 1, dtype=F64), 1.0), 1)
        q = td.MultivariateNormal(prior.mean, torch.eye(1, dtype=F64))
        residual = td.kl_divergence(q, posterior)
        assert shown(page, "residual") == pytest.approx(float(residual), abs=1e-9)
        for name, f in (
            ("lautum", divergences.lautum_information),
            ("mutual", divergences.mutual_information),
        ):
            assert shown(page, name) == pytest.approx(float(f(model)), abs=1e-9)

    beyond = page.locator("[data-mark=beyond]")
    check(0.6, 1.5)
    check(press(page, "rho", "ArrowRight", 25), press(page, "x", "ArrowLeft", 10))
    assert shown(page, "lautum") < 4 and beyond.text_content() == ""
    check(press(page, "rho", "ArrowRight", 10), 1.0)
    assert shown(page, "lautum") > 4 and "beyond the scale" in beyond.text_content()
    drag(page, 1, (0.5, 0.5), (0.2, 0.5))
    rho = float(page.locator("input[name=rho]").input_value())
    assert rho < -0.5
    check(rho, 1.0)


@of("residual")
def test_the_maximum_follows_the_slope(page: Page):
    page.locator("button[name=none]").click()
    assert shown(page, "bound_top") == shown(page, "top") == pytest.approx(1)
    assert shown(page, "largest") == shown(page, "loss") == 0
    page.locator("button[name=constant]").click()
    assert shown(page, "bound_top") == shown(page, "top")
    assert shown(page, "largest") == pytest.approx(4)
    page.locator("button[name=tilted]").click()
    # 0.18 a point, half a unit apart: the bound is -(t - 1)²/4 - 0.36 t + constant.
    assert shown(page, "bound_top") == pytest.approx(1 - 2 * 0.36, abs=0.003)
    assert shown(page, "loss") == pytest.approx(0.36**2, abs=1e-3)
    assert shown(page, "loss") <= shown(page, "allowed")
    page.locator("button[name=none]").click()
    handle = page.locator("[data-mark='handle 8']")  # at theta = 1
    handle.focus()
    for _ in range(3):
        page.keyboard.press("ArrowDown")
    assert shown(page, "largest") >= 0.3 - 1e-9
    assert shown(page, "bound_top") != shown(page, "top")
    before = shown(page, "largest")
    drag(page, 0, (0.3, 0.3), (0.3, 0.7))
    assert shown(page, "largest") > before
    assert shown(page, "loss") <= shown(page, "allowed") + 1e-9


@of("gradients")
def test_the_gradients_and_their_variances(page: Page):
    def check(theta, omega, square):
        mean, score, pathwise = exact_gradients(theta, omega, square)
        assert shown(page, "gradient") == pytest.approx(mean, abs=1e-9)
        assert shown(page, "pathwise") == pytest.approx(pathwise, abs=1e-9)
        assert shown(page, "score") == pytest.approx(score, abs=1e-9)
        for name, variance in (("pathwise", pathwise), ("score", score)):
            off = abs(shown(page, f"mean_{name}") - mean)
            assert off < 5 * math.sqrt(variance / 200)

    check(1.0, 1.0, square=True)
    theta = press(page, "theta", "ArrowLeft", 60)
    check(theta, 1.0, square=True)
    page.locator("input[value=cos]").check()
    omega = press(page, "omega", "ArrowRight", 50)
    assert (theta, omega) == (0.4, 1.5)
    check(theta, omega, square=False)
    drag(page, 0, (0.5, 0.5), (0.65, 0.5))
    moved = float(page.locator("input[name=theta]").input_value())
    assert moved > 0.5
    check(moved, omega, square=False)


def exact_gradients(theta: float, omega: float, square: bool):
    """Mean of both estimators and the variance of each, by quadrature over z."""
    z, area = (v.to(F64) for v in gauss_legendre(400, theta - 12, theta + 12))
    center = torch.tensor(theta, dtype=F64)
    density = td.Normal(center, 1.0).log_prob(z).exp() * area
    f = z**2 if square else torch.cos(omega * z)
    slope = 2 * z if square else -omega * torch.sin(omega * z)
    found = []
    for g in (f * (z - theta), slope):
        mean = (density * g).sum()
        found.append((float(mean), float((density * (g - mean) ** 2).sum())))
    (mean, score), (same, pathwise) = found
    assert mean == pytest.approx(same, abs=1e-10)
    return mean, score, pathwise


@pytest.mark.parametrize(
    ("page", "decoder"),
    [("latent", DECODER), ("latent with SiLU", SILU)],
    indirect=["page"],
)
def test_the_decoded_digit(page: Page, decoder: torch.nn.Module):
    def check(*code):
        dark = torch.sigmoid(decoder(torch.tensor(code))).detach()
        expected = float(16 * dark.sum())
        assert shown(page, "dark") == pytest.approx(expected, abs=0.5)
        picture = page.locator(".interactive svg").nth(1).locator("rect")
        colours = picture.evaluate_all("all => all.map(r => r.getAttribute('fill'))")
        greys = torch.tensor([float(c[4:].split(",")[0]) for c in colours])
        assert torch.allclose(greys, 255 * (1 - dark), atol=1)

    check(0.0, 0.0)
    code = (
        press(page, "first", "ArrowRight", 30),
        press(page, "second", "ArrowLeft", 20),
    )
    assert code == (0.6, -0.4)
    check(*code)
    drag(page, 0, (0.5, 0.5), (0.3, 0.3))
    moved = [
        float(page.locator(f"input[name={n}]").input_value())
        for n in ("first", "second")
    ]
    assert moved[0] < 0 < moved[1]
    check(*moved)


def test_a_formula_with_other_symbols_is_refused():
    with pytest.raises(ValueError, match="arguments: expected also s"):
        interactive.javascript("eq-information-linear-gaussian", ["a"])
    with pytest.raises(ValueError, match="expression: the ledger has no 'eq-nothing'"):
        interactive.javascript("eq-nothing", ["a"])


def test_a_decoder_of_another_form_is_refused():
    with pytest.raises(ValueError, match="decoder: expected linear layers"):
        interactive.latent(models.mlp(3, 4, 64), torch.zeros(1, 2), [0])
