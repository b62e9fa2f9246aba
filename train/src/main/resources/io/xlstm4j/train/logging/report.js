"use strict";
// Shows the values nearest to the pointer. The page is whole without it.
const number = v => Math.abs(v) >= 1e-3 && Math.abs(v) < 1e6 || v === 0
  ? v.toLocaleString("en", {maximumSignificantDigits: 5}) : v.toExponential(3);
for (const plot of document.querySelectorAll(".plot")) {
  const lines = JSON.parse(plot.dataset.lines), last = Number(plot.dataset.last);
  const at = plot.querySelector(".at"), tip = plot.querySelector(".tip");
  const nearest = (points, step) => {
    let low = 0, high = points.length / 4 - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (points[4 * middle] < step) low = middle + 1; else high = middle;
    }
    if (low > 0 && step - points[4 * low - 4] < points[4 * low] - step) low--;
    return points.slice(4 * low, 4 * low + 4);
  };
  plot.addEventListener("pointermove", event => {
    const box = plot.getBoundingClientRect();
    const x = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
    const near = lines.map(([name, points]) => [name, ...nearest(points, x * last)]);
    const step = near[0][1];
    tip.textContent = near.map(([name, s, value, low, high]) =>
      (s === step ? "" : "step " + s.toLocaleString("en") + "  ") + name + " " + number(value)
      + (high > low ? "  (" + number(low) + " to " + number(high) + ")" : "")).join("\n");
    tip.textContent = "step " + step.toLocaleString("en") + "\n" + tip.textContent;
    at.hidden = tip.hidden = false;
    at.style.left = 100 * step / last + "%";
    const left = x * box.width;
    tip.style.left = Math.max(0, left < box.width / 2 ? left + 12 : left - tip.offsetWidth - 12) + "px";
  });
  plot.addEventListener("pointerleave", () => { at.hidden = tip.hidden = true; });
}
