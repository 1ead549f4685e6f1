// What the interactive figures share: plots in SVG, sliders, read-outs, dragging.
const NS = "http://www.w3.org/2000/svg";

function make(parent, name, attributes = {}, text = "") {
  const svg = parent.namespaceURI === NS || name === "svg";
  const node = svg ? document.createElementNS(NS, name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text) node.textContent = text;
  parent.append(node);
  return node;
}

// Equally many numbers from low to high, both included.
function grid(low, high, count) {
  return Array.from({ length: count }, (_, i) => low + ((high - low) * i) / (count - 1));
}

function clamp(value, low, high) {
  return Math.min(high, Math.max(low, value));
}

// A number as readers see it: a true minus sign, and no minus zero.
function show(value, digits = 3) {
  const text = value.toFixed(digits);
  return Number(text) === 0 ? text.replace("-", "") : text.replace("-", "\u2212");
}

class Plot {
  constructor(root, { width = 330, height = 220, x, y, xlabel, title, label }) {
    Object.assign(this, { x, y, width, height });
    this.box = { left: 12, right: width - 12, top: 24, bottom: height - 36 };
    this.svg = make(root, "svg", {
      viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": label,
    });
    make(this.svg, "text", { x: width / 2, y: 14, "text-anchor": "middle" }, title);
    const { left, right, bottom } = this.box;
    this.area = make(this.svg, "g");
    make(this.svg, "path", { d: `M${left} ${bottom}H${right}`, class: "axis" });
    for (const tick of this.ticks()) {
      const at = this.toX(tick);
      make(this.svg, "path", { d: `M${at} ${bottom}v4`, class: "axis" });
      make(this.svg, "text", { x: at, y: bottom + 15, "text-anchor": "middle" },
        show(tick, 0));
    }
    make(this.svg, "text",
      { x: width / 2, y: height - 6, "text-anchor": "middle", "font-style": "italic" },
      xlabel);
    this.marks = {};
  }

  ticks() {
    const whole = [], step = this.x[1] - this.x[0] > 12 ? 4 : 1;
    for (let t = Math.ceil(this.x[0]); t <= this.x[1]; t += step) whole.push(t);
    return whole;
  }

  toX(value) {
    const { left, right } = this.box;
    return left + ((right - left) * (value - this.x[0])) / (this.x[1] - this.x[0]);
  }

  toY(value) {
    const { top, bottom } = this.box;
    const at = bottom - ((bottom - top) * (value - this.y[0])) / (this.y[1] - this.y[0]);
    return clamp(at, top - 6, bottom + 6);
  }

  // The values under a pointer.
  values(event) {
    const frame = this.svg.getBoundingClientRect();
    const px = ((event.clientX - frame.left) * this.width) / frame.width;
    const py = ((event.clientY - frame.top) * this.height) / frame.height;
    const { left, right, top, bottom } = this.box;
    const x = this.x[0] + ((px - left) / (right - left)) * (this.x[1] - this.x[0]);
    const y = this.y[0] + ((bottom - py) / (bottom - top)) * (this.y[1] - this.y[0]);
    return [clamp(x, ...this.x), clamp(y, ...this.y)];
  }

  // Draw, or draw again, the mark of this name.
  mark(name, element, attributes, text = "") {
    this.marks[name] ??= make(this.area, element, { "data-mark": name });
    const node = this.marks[name];
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    node.textContent = text;
    return node;
  }

  line(name, xs, ys, attributes) {
    const points = xs.map((v, i) => `${this.toX(v).toFixed(1)} ${this.toY(ys[i]).toFixed(1)}`);
    this.mark(name, "path", { d: "M" + points.join("L"), fill: "none", ...attributes });
  }

  between(name, xs, lows, highs, attributes) {
    const at = (ys) => (v, i) => `${this.toX(v).toFixed(1)} ${this.toY(ys[i]).toFixed(1)}`;
    const there = xs.map(at(highs)), back = xs.map(at(lows)).reverse();
    this.mark(name, "path", { d: `M${there.concat(back).join("L")}Z`, ...attributes });
  }

  drag(onMove) {
    this.svg.classList.add("drag");
    this.svg.addEventListener("pointerdown", (event) => {
      this.svg.setPointerCapture(event.pointerId);
      onMove(...this.values(event), true);
    });
    this.svg.addEventListener("pointermove", (event) => {
      if (event.buttons) onMove(...this.values(event), false);
    });
  }
}

// A labelled slider; arrow keys work because it is the browser's own.
function slider(root, { name, label, min, max, step, value }, onInput) {
  const row = make(root, "label", { class: "slider" });
  make(row, "span", {}, label);
  const input = make(row, "input",
    { type: "range", name, min, max, step, value, "aria-label": label });
  const shown = make(row, "output");
  const refresh = () => (shown.textContent = show(Number(input.value), 2));
  input.addEventListener("input", () => (refresh(), onInput()));
  refresh();
  return {
    get value() { return Number(input.value); },
    set value(number) { input.value = number; refresh(); },
  };
}

// Named choices, one of which holds.
function choice(root, { name, label, options }, onInput) {
  const group = make(root, "fieldset");
  make(group, "legend", {}, label);
  const inputs = options.map(([value, text], i) => {
    const row = make(group, "label");
    const input = make(row, "input", { type: "radio", name, value });
    input.checked = i === 0;
    input.addEventListener("input", onInput);
    make(row, "span", {}, text);
    return input;
  });
  return { get value() { return inputs.find((input) => input.checked).value; } };
}

// Numbers in words' company. `set` also stores the full value, for whoever reads it.
function readouts(root, names) {
  const list = make(root, "dl", { "aria-live": "polite" });
  const nodes = {};
  for (const [name, label, colour] of names) {
    const cell = make(list, "div");
    make(cell, "dt", colour ? { style: `border-color:${colour}` } : {}, label);
    nodes[name] = make(cell, "dd", { "data-name": name });
  }
  return (values) => {
    for (const [name, value] of Object.entries(values)) {
      nodes[name].textContent = show(value);
      nodes[name].dataset.value = value;
    }
  };
}

function normal(z, mean, scale) {
  const t = (z - mean) / scale;
  return Math.exp(-0.5 * t * t) / (scale * Math.sqrt(2 * Math.PI));
}
