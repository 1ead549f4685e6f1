// A guide over an exact posterior, and how the evidence splits.
function widget(root, formulas, data, colours) {
  const { posterior, prior, log_evidence } = data;
  const range = [-3, 3.5];
  const plots = make(root, "div", { class: "plots" });
  const left = new Plot(plots, {
    x: range, y: [0, 1.5], xlabel: "z", title: "densities: drag the guide",
    label: "The prior, the exact posterior, and the guide.",
  });
  const right = new Plot(plots, {
    x: [-0.3, 1.8], y: [log_evidence - 4, log_evidence + 4], xlabel: "",
    title: "the bound and the evidence, in nats",
    label: "The evidence, the bound, and the divergence between them.",
  });
  right.svg.querySelectorAll(".axis, text:not(:first-of-type)").forEach((n) => n.remove());
  const which = choice(root, {
    name: "direction", label: "Divergence:",
    options: [["reverse", "from guide to posterior"], ["forward", "from posterior to guide"]],
  }, draw);
  const mean = slider(root,
    { name: "mean", label: "mean of the guide", min: -2, max: 3, step: 0.01, value: 1.6 }, draw);
  const scale = slider(root,
    { name: "scale", label: "scale of the guide", min: 0.1, max: 2, step: 0.01, value: 0.9 }, draw);
  const put = readouts(root, [
    ["log_evidence", "log-evidence", colours.EVIDENCE],
    ["bound", "bound", colours.BOUND],
    ["divergence", "divergence", colours.RESIDUAL],
  ]);
  left.drag((x, y) => {
    mean.value = clamp(x, -2, 3);
    scale.value = clamp(1 / (Math.max(y, 0.05) * Math.sqrt(2 * Math.PI)), 0.1, 2);
    draw();
  });
  const zs = grid(...range, 261);
  const curve = (plot, name, [m, s], attributes) =>
    plot.line(name, zs, zs.map((z) => normal(z, m, s)), attributes);

  function draw() {
    const q = [mean.value, scale.value];
    const forward = which.value === "forward";
    const divergence = forward
      ? formulas.kl(...posterior, ...q) : formulas.kl(...q, ...posterior);
    const bound = forward ? log_evidence + divergence : log_evidence - divergence;
    curve(left, "prior", prior, { stroke: colours.PRIOR, "stroke-dasharray": "4 3" });
    curve(left, "posterior", posterior, { stroke: colours.POSTERIOR, "stroke-width": 2 });
    curve(left, "guide", q, { stroke: colours.GUIDE, "stroke-width": 2.5 });
    [["prior", "PRIOR"], ["posterior", "POSTERIOR"], ["guide", "GUIDE"]].forEach(
      ([name, colour], i) => left.mark(`name ${name}`, "text",
        { x: left.box.left + 4, y: 38 + 14 * i, style: `fill:${colours[colour]}` }, name));
    const [low, high] = [Math.min(bound, log_evidence), Math.max(bound, log_evidence)];
    right.mark("gap", "rect", {
      x: right.toX(0), width: right.toX(1) - right.toX(0), y: right.toY(high),
      height: right.toY(low) - right.toY(high), fill: colours.RESIDUAL, "fill-opacity": 0.5,
    });
    for (const [name, value, colour, text] of [
      ["bound", bound, colours.BOUND, forward ? "EUBO" : "ELBO"],
      ["evidence", log_evidence, colours.EVIDENCE, "log p(x)"]]) {
      right.mark(`level ${name}`, "path", { stroke: colour, "stroke-width": 2.5,
        d: `M${right.toX(0)} ${right.toY(value)}H${right.toX(1)}` });
      right.mark(`name ${name}`, "text", { x: right.toX(1.08), style: `fill:${colour}`,
        y: right.toY(value) + (name === "bound" && Math.abs(bound - log_evidence) < 0.35
          ? (forward ? -7 : 15) : 4) }, text);
    }
    put({ log_evidence, bound, divergence });
  }
  draw();
}
