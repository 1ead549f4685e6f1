// Walk the plane of codes and see the decoded digit.
function widget(root, formulas, data, colours) {
  const edge = 3.5;  // of the plane, in both directions; codes beyond it are not drawn
  const plots = make(root, "div", { class: "plots" });
  const map = new Plot(plots, {
    x: [-edge, edge], y: [-edge, edge], height: 330, xlabel: "first code",
    title: "codes of held-out digits: drag", label: "The plane of codes with labelled digits.",
  });
  const picture = make(plots, "svg",
    { viewBox: "0 0 8 8", role: "img", "aria-label": "The decoded digit.",
      "shape-rendering": "crispEdges", style: "max-width:14rem;align-self:center" });
  const first = slider(root,
    { name: "first", label: "first code", min: -edge, max: edge, step: 0.02, value: 0 }, draw);
  const second = slider(root,
    { name: "second", label: "second code", min: -edge, max: edge, step: 0.02, value: 0 }, draw);
  const put = readouts(root, [["dark", "dark dots expected, of 1024"]]);
  const dots = root.querySelector("[data-name=dark]");
  map.drag((x, y) => { first.value = x; second.value = y; draw(); });
  const inside = data.codes.filter(([x, y]) => Math.max(Math.abs(x), Math.abs(y)) < edge);
  inside.forEach(([x, y, digit], i) => map.mark(`code ${i}`, "text", {
    x: map.toX(x), y: map.toY(y) + 4, "font-size": 9,
    "text-anchor": "middle", style: `fill:${data.palette[digit]}`, "pointer-events": "none",
  }, String(digit)));
  const pixels = Array.from({ length: 64 }, (_, i) => make(picture, "rect",
    { x: i % 8, y: Math.floor(i / 8), width: 1.02, height: 1.02 }));

  const between = { Tanh: Math.tanh, SiLU: (v) => v / (1 + Math.exp(-v)) }[data.activation];

  // The decoder's layers: the activation between them, a sigmoid at the end.
  function decode(code) {
    let values = code;
    data.layers.forEach(([weight, bias], depth) => {
      const last = depth === data.layers.length - 1;
      values = bias.map((b, i) => {
        const sum = weight[i].reduce((total, w, j) => total + w * values[j], b);
        return last ? 1 / (1 + Math.exp(-sum)) : between(sum);
      });
    });
    return values;
  }

  function draw() {
    const code = [first.value, second.value];
    const dark = decode(code);
    pixels.forEach((pixel, i) => {
      const grey = Math.round(255 * (1 - dark[i]));
      pixel.setAttribute("fill", `rgb(${grey},${grey},${grey})`);
    });
    map.mark("here", "circle", { cx: map.toX(code[0]), cy: map.toY(code[1]), r: 6,
      fill: "none", stroke: colours.EVIDENCE, "stroke-width": 2 });
    const expected = Math.round(160 * dark.reduce((a, b) => a + b, 0)) / 10;
    put({ dark: expected });
    dots.textContent = show(expected, 1);
  }
  draw();
}
