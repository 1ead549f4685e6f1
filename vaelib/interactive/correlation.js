// The bad bound on two correlated normals: what turning the correlation does.
function widget(root, formulas, data, colours) {
  const plots = make(root, "div", { class: "plots" });
  const left = new Plot(plots, {
    x: [-3, 3], y: [0, 2.1], xlabel: "z", title: "prior and posterior of z",
    label: "The prior of z, and its posterior at the chosen x.",
  });
  const right = new Plot(plots, {
    x: [-1, 1], y: [0, 4], xlabel: "correlation", title: "nats, averaged over x",
    label: "Over the correlation: mutual information and residual of the bad bound.",
  });
  const rho = slider(root,
    { name: "rho", label: "correlation \u03f1", min: -0.98, max: 0.98, step: 0.01, value: 0.6 },
    draw);
  const x = slider(root,
    { name: "x", label: "observed x", min: -2, max: 2, step: 0.05, value: 1.5 }, draw);
  const put = readouts(root, [
    ["residual", "residual at x", colours.BAD],
    ["lautum", "residual, averaged", colours.BAD],
    ["mutual", "mutual information", colours.POSTERIOR],
  ]);
  right.drag((at) => { rho.value = clamp(at, -0.98, 0.98); draw(); });
  const zs = grid(-3, 3, 241), rhos = grid(-0.985, 0.985, 199);
  // As a linear-Gaussian model with unit variances: a = rho, s^2 = 1 - rho^2.
  const noise = (r) => Math.sqrt(1 - r * r);
  const lautum = (r) => formulas.lautum(r, noise(r));
  const mutual = (r) => formulas.mutual(r, noise(r));

  function draw() {
    const r = rho.value, s = noise(r), m = r * x.value;
    left.line("prior", zs, zs.map((z) => normal(z, 0, 1)),
      { stroke: colours.GUIDE, "stroke-width": 2, "stroke-dasharray": "5 3" });
    left.line("posterior", zs, zs.map((z) => normal(z, m, s)),
      { stroke: colours.POSTERIOR, "stroke-width": 2 });
    left.mark("name prior", "text", { x: 16, y: 38, style: `fill:${colours.GUIDE}` },
      "prior, the guide of the bad bound");
    left.mark("name posterior", "text", { x: 16, y: 52, style: `fill:${colours.POSTERIOR}` },
      "posterior");
    right.line("lautum", rhos, rhos.map(lautum), { stroke: colours.BAD, "stroke-width": 2 });
    right.line("mutual", rhos, rhos.map(mutual),
      { stroke: colours.POSTERIOR, "stroke-width": 2 });
    for (const [name, f, colour] of [["lautum", lautum, "BAD"], ["mutual", mutual, "POSTERIOR"]])
      right.mark(`at ${name}`, "circle",
        { cx: right.toX(r), cy: right.toY(f(r)), r: 5, fill: colours[colour] });
    right.mark("beyond", "text",
      { x: clamp(right.toX(r), 62, 268), y: 40, "text-anchor": "middle" },
      lautum(r) > right.y[1] ? "\u2191 beyond the scale" : "");
    put({ residual: formulas.kl(0, 1, m, s), lautum: lautum(r), mutual: mutual(r) });
  }
  draw();
}
