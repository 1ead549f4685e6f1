// A function, a residual that the reader shapes, and where the maximum goes.
function widget(root, formulas, data, colours) {
  const { evidence, start, range } = data;
  const plots = make(root, "div", { class: "plots" });
  const plot = new Plot(plots, {
    width: root.clientWidth < 500 ? 360 : 660, height: 280, x: range, y: [-6.5, 0.5], xlabel: "\u03b8",
    title: "pull the lower curve: drag, or Tab and arrow keys",
    label: "A function, a lower bound of it, the residual between, and both maxima.",
  });
  const places = grid(...range, start.length);
  let heights = start.slice();
  const buttons = make(root, "div");
  for (const [name, values] of Object.entries(data.presets)) {
    const button = make(buttons, "button", { type: "button", name }, name);
    button.addEventListener("click", () => { heights = values.slice(); draw(); });
  }
  const put = readouts(root, [
    ["largest", "largest residual", colours.RESIDUAL],
    ["top", "maximum of the function at", colours.EVIDENCE],
    ["bound_top", "maximum of the bound at", colours.BOUND],
    ["loss", "lost height", colours.EVIDENCE],
    ["allowed", "at most (residual there \u2212 here)", colours.RESIDUAL],
  ]);
  const thetas = grid(...range, 1201);
  const values = thetas.map((t) => formulas.evidence(t));
  const nearest = (x) => Math.round(((x - range[0]) / (range[1] - range[0])) * (places.length - 1));
  const set = (i, height) => { heights[i] = clamp(height, 0, 5); draw(); };
  plot.drag((x, y) => {
    const i = nearest(x);
    set(i, formulas.evidence(places[i]) - y);
  });

  // Cubic between the points (Catmull and Rom), cut off at zero: a residual has no sign.
  function residual(t) {
    const u = ((t - range[0]) / (range[1] - range[0])) * (places.length - 1);
    const i = clamp(Math.floor(u), 0, places.length - 2), f = u - i;
    const h = (k) => heights[clamp(k, 0, heights.length - 1)];
    const [a, b, c, d] = [h(i - 1), h(i), h(i + 1), h(i + 2)];
    const value = b + 0.5 * f * (c - a + f * (2 * a - 5 * b + 4 * c - d
      + f * (3 * (b - c) + d - a)));
    return Math.max(0, value);
  }

  const best = (ys) => ys.indexOf(Math.max(...ys));
  function draw() {
    const gaps = thetas.map(residual);
    const bound = values.map((v, i) => v - gaps[i]);
    plot.between("gap", thetas, bound, values, { fill: colours.RESIDUAL, "fill-opacity": 0.35 });
    plot.line("evidence", thetas, values, { stroke: colours.EVIDENCE, "stroke-width": 2 });
    plot.line("bound", thetas, bound,
      { stroke: colours.BOUND, "stroke-width": 2, "stroke-dasharray": "6 3" });
    const i = best(values), j = best(bound);
    for (const [name, k, ys, colour] of [["top", i, values, "EVIDENCE"],
      ["bound top", j, bound, "BOUND"]]) {
      plot.mark(name, "circle",
        { cx: plot.toX(thetas[k]), cy: plot.toY(ys[k]), r: 6, fill: colours[colour] });
      plot.mark(`drop ${name}`, "path", { stroke: colours[colour], "stroke-dasharray": "2 3",
        d: `M${plot.toX(thetas[k])} ${plot.toY(ys[k])}V${plot.box.bottom}` });
    }
    places.forEach((place, k) => {
      const handle = plot.mark(`handle ${k}`, "circle", {
        cx: plot.toX(place), cy: plot.toY(formulas.evidence(place) - heights[k]), r: 5,
        fill: "#fff", stroke: colours.BOUND, "stroke-width": 2, tabindex: 0, role: "slider",
        "aria-label": `residual at ${show(place, 1)}`, "aria-valuemin": 0,
        "aria-valuemax": 5, "aria-valuenow": heights[k].toFixed(2),
      });
      handle.onkeydown = (event) => {
        const step = { ArrowUp: -0.1, ArrowDown: 0.1, PageUp: -1, PageDown: 1 }[event.key];
        if (step) { event.preventDefault(); set(k, heights[k] + step); }
      };
    });
    put({ largest: Math.max(...gaps), top: thetas[i], bound_top: thetas[j],
      loss: values[i] - values[j], allowed: gaps[i] - gaps[j] });
  }
  draw();
}
