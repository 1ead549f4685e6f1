// Single-draw gradient estimates by both estimators, as theta and omega move.
function widget(root, formulas, data, colours) {
  const plots = make(root, "div", { class: "plots" });
  const which = choice(root, {
    name: "integrand", label: "Integrand:",
    options: [["square", "z\u00b2"], ["cos", "cos \u03c9z"]],
  }, draw);
  const theta = slider(root,
    { name: "theta", label: "\u03b8", min: -3, max: 3, step: 0.01, value: 1 }, draw);
  const omega = slider(root,
    { name: "omega", label: "\u03c9 (for the cosine)", min: 0.1, max: 3, step: 0.01, value: 1 }, draw);
  const kinds = [["pathwise", "pathwise", "SECOND"], ["score", "score function", "GUIDE"]];
  const put = readouts(root, [
    ["gradient", "exact gradient", colours.EVIDENCE],
    ["pathwise", "variance, pathwise", colours.SECOND],
    ["score", "variance, score function", colours.GUIDE],
    ["mean_pathwise", "mean of the draws, pathwise", colours.SECOND],
    ["mean_score", "mean of the draws, score function", colours.GUIDE],
  ]);
  const plot = new Plot(plots, {
    width: root.clientWidth < 500 ? 360 : 660, height: 190, x: [-12, 12], y: [0, 2], xlabel: "gradient, one draw each",
    title: "the same draws of \u03b5 through both estimators",
    label: "Two rows of dots, one dot a draw: pathwise above, score function below.",
  });
  plot.drag((x) => { theta.value = clamp(x / 4, -3, 3); draw(); });

  function draw() {
    const t = theta.value, w = omega.value, square = which.value === "square";
    const f = square ? (z) => z * z : (z) => Math.cos(w * z);
    const slope = square ? (z) => 2 * z : (z) => -w * Math.sin(w * z);
    const draws = {
      pathwise: data.noise.map((e) => slope(t + e)),
      score: data.noise.map((e) => f(t + e) * e),
    };
    kinds.forEach(([kind, label, colour], row) => {
      const high = row === 0 ? 1.95 : 0.9;
      const paths = draws[kind].map((g, i) => {
        const x = plot.toX(clamp(g, ...plot.x));
        const y = plot.toY(high - 0.15 - (0.5 * ((i * 7) % 20)) / 20);
        return `M${x.toFixed(1)} ${y.toFixed(1)}h0`;
      });
      plot.mark(`draws ${kind}`, "path", { d: paths.join(""), stroke: colours[colour],
        "stroke-width": 4, "stroke-linecap": "round", "stroke-opacity": 0.6 });
      plot.mark(`name ${kind}`, "text",
        { x: plot.box.left, y: plot.toY(high) }, label);
    });
    const gradient = square ? formulas.square_mean(t) : formulas.cos_mean(t, w);
    const pathwise = square ? formulas.square_pathwise(t) : formulas.cos_pathwise(t, w);
    const score = square
      ? formulas.square_score(t) : pathwise - formulas.cos_difference(t, w);
    plot.mark("exact", "path", { stroke: colours.EVIDENCE, "stroke-width": 1.5,
      d: `M${plot.toX(gradient)} ${plot.box.top}V${plot.box.bottom}` });
    const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;
    put({ gradient, pathwise, score,
      mean_pathwise: mean(draws.pathwise), mean_score: mean(draws.score) });
  }
  draw();
}
